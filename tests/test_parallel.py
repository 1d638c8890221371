"""Texts beside their translations: reading, screens, the translator, scores, the verdict, and a whole run."""

import json
import sys
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sacrebleu
import torch

import augmind
import parallel as planted
from augmind.core.errors import DataError, MachineError, UsageError
from augmind.core.run import Run
from augmind.core.seeds import stream
from augmind.core.store import read_json, read_table
from augmind.data.parallel import load, monolingual, sealed
from augmind.modalities.text.parallel.augment import noisy, paraphrased
from augmind.modalities.text.parallel.decode import translated
from augmind.modalities.text.parallel.score import Scores
from augmind.modalities.text.parallel.screens import Candidate, Screens
from augmind.modalities.text.parallel.translator import Shape, trained
from augmind.modalities.text.parallel.vocabulary import Vocabulary
from augmind.nn.weights import content
from augmind.parallel import stages
from augmind.parallel.job import Job, open_seal
from augmind.parallel.verdict import conclusion, interval, measured, samples
from language import tiny_language, tiny_translator

TINY: dict[str, Any] = {"text": "en", "target": "de", "preset": "quick", "seeds": 2, "steps": {"translator": 8}, "jobs": 0}
SMALL: dict[str, Any] = {"translator.width": 32, "translator.depth": 1, "translator.tokens": 320, "translator.batch": 8}


# Reading and splitting


def test_rows_that_are_no_pairs_are_set_aside_with_their_reasons(tmp_path):
    good = planted.sentences(24)
    odd = [("", "LEER"), ("nur text", "  "), ("gleich", "Gleich"), good[0]]
    corpus = load(planted.table(tmp_path / "d.csv", good + odd), text="en", target="de")
    told = {r.origin: (r.status, r.reason) for r in corpus.rows if r.status != "ok"}
    assert [s for s, _ in told.values()] == ["corrupt", "corrupt", "copy", "duplicate"]
    assert told["d.csv:26"][1] == "the text: it is empty" and told["d.csv:27"][1].startswith("the translation:")
    assert told["d.csv:29"][1] == "same as d.csv:2" and len(corpus.good) == 24


@pytest.mark.parametrize("ending", ["tsv", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_same_pairs(ending, tmp_path):
    pairs = planted.sentences(24)
    if ending == "parquet":
        import pyarrow as pa

        pq.write_table(pa.table({"en": [a for a, _ in pairs], "de": [b for _, b in pairs]}), tmp_path / "d.parquet")
    elif ending == "tsv":
        (tmp_path / "d.tsv").write_text("\n".join(["en\tde", *(f"{a}\t{b}" for a, b in pairs)]))
    else:
        (tmp_path / "d.jsonl").write_text("\n".join(json.dumps({"en": a, "de": b}) for a, b in pairs))
    assert [(r.text, r.target) for r in load(tmp_path / f"d.{ending}", text="en", target="de").good] == pairs


def test_a_text_never_stands_on_both_sides_of_a_split(tmp_path):
    pairs = planted.sentences(60)
    same = [(a, f"{b} {b.split()[0]}") for a, b in pairs[:30]]
    corpus, split = sealed(load(planted.table(tmp_path / "d.csv", pairs + same), text="en", target="de"), None, 3)
    sides = [{corpus.rows[i].text for i in ids} for ids in (split.train, split.test)]
    assert split.mode == "holdout" and not sides[0] & sides[1] and len(split.train) + len(split.test) == 90
    assert 0.15 < len(split.test) / 90 < 0.35
    parts = ["train"] * 60 + ["test"] * 30
    corpus, split = sealed(load(planted.table(tmp_path / "g.csv", pairs + same, parts), text="en", target="de", split="split"), None, 3)
    assert split.mode == "given" and len(split.train) == 30 and [r.status for r in corpus.rows[:30]] == ["leak"] * 30
    assert "AM152" in {f.code for f in corpus.findings}


def test_a_folder_of_tables_says_its_splits_by_name(tmp_path):
    pairs = planted.sentences(40)
    planted.table(tmp_path / "train.csv", pairs[:30])
    planted.table(tmp_path / "test.csv", pairs[30:])
    _, split = sealed(load(tmp_path, text="en", target="de"), None, 0)
    assert split.mode == "given" and len(split.test) == 10


def test_sentences_of_test_rows_are_taken_out_of_a_monolingual_pool(tmp_path):
    (tmp_path / "pool.txt").write_text("EINS ZWEI\nDREI  vier\n\nFÜNF\nFÜNF\n", "utf-8")
    assert monolingual(str(tmp_path / "pool.txt"), "de", {"drei vier"}, {"eins zwei"}) == ["FÜNF"]
    with pytest.raises(DataError, match="holds no sentence"):
        monolingual(str(tmp_path / "pool.txt"), "de", {"drei vier", "fünf"}, {"eins zwei"})


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"target": "fr"}, DataError, "no column 'fr'"),
        ({"target": "en"}, UsageError, "both name the column 'en'"),
        ({"text": None}, UsageError, "none is named for the texts"),
        ({"folds": 3}, UsageError, "--folds is about classes"),
        ({"steps": {"vae": 3}}, UsageError, "unknown model with steps 'vae'"),
        ({"set": {"translator.width": 33}}, UsageError, "shared by 4 heads"),
        ({"set": {"translator.depth": 9}}, UsageError, "translator.depth=9"),
        ({"set": {"vae.beta": 1}}, UsageError, "unknown setting of a translation"),
        ({"set": {"backtranslation.model": "someone/absent"}}, MachineError, "not on this machine"),
        ({"set": {"paraphrase.model": "someone/absent"}}, MachineError, "model of 'paraphrase' 'someone/absent' are not on this machine"),
        ({"set": {"paraphrase.top_p": 0.5}}, UsageError, "no model is named that writes them"),
        ({"ratio": 0}, UsageError, "ratio"),
        ({"unlabelled": "absent.txt"}, DataError, "no file 'absent.txt'"),
    ],
)
def test_wrong_options_are_one_sentence_and_leave_no_folder(change, kind, says, tmp_path):
    data = planted.table(tmp_path / "d.csv", planted.sentences(40))
    with pytest.raises(kind) as error:
        augmind.expand(data, tmp_path / "r", **TINY | change)
    assert says in f"{error.value} {error.value.help}" and not (tmp_path / "r").exists()


def test_pairs_that_hold_something_personal_or_rude_are_told(tmp_path):
    pairs = planted.sentences(40)
    pairs[3], pairs[5] = ("write to me@example.org", "SCHREIB"), ("you bastard", "DU ARSCHLOCH me@example.org")
    found = {f.code: f for f in load(planted.table(tmp_path / "d.csv", pairs), text="en", target="de").findings}
    assert found["AM128"].about["rows"] == [3, 5] and "e-mail address in 2" in found["AM128"].text
    assert found["AM136"].about["rows"] == [5] and "bastard" not in found["AM136"].text


def test_data_that_cannot_be_used_is_one_sentence(tmp_path):
    pairs = planted.sentences(40)
    for name, rows, says in (
        ("few", pairs[:12], "12 usable pairs; at least 20"),
        ("same", [(a, a) for a, _ in pairs], "every text of 'same' is the same as its translation"),
        ("bad", [("", b) for _, b in pairs[:20]] + pairs[20:], "20 of 40 rows of 'bad' cannot be read"),
        ("one", [(a, pairs[0][1]) for a, _ in pairs], "0 to test on"),
    ):
        with pytest.raises(DataError, match=says):
            sealed(load(planted.table(tmp_path / f"{name}.csv", rows), text="en", target="de"), None, 0)


def test_without_sacrebleu_a_run_ends_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MachineError, match="sacrebleu") as error:
        augmind.expand(planted.table(tmp_path / "d.csv", planted.sentences(40)), tmp_path / "r", **TINY)
    assert "pip install" in error.value.help and not (tmp_path / "r").exists()


# Screens


@pytest.fixture
def screens(tmp_path):
    return lambda pairs: Screens.learnt([a for a, _ in pairs], [b for _, b in pairs], list(range(len(pairs))), 0, tmp_path)


def judged(judges, text, target):
    return judges.judge([Candidate(text=text, target=target)])[0]


def test_planted_faults_are_rejected_and_true_pairs_pass(screens):
    known, fresh = planted.sentences(200), planted.sentences(300)[200:]
    judges = screens(known)
    true = judges.judge([Candidate(text=a, target=b) for a, b in fresh])
    assert sum(not j.rejected_by for j in true) >= 85
    wrong = judges.judge([Candidate(text=a, target=fresh[(i + 37) % 100][1]) for i, (a, _) in enumerate(fresh)])
    assert sum(j.rejected_by in ("alignment", "lengths") for j in wrong) >= 95
    assert {j.rejected_by for j in judges.judge([Candidate(text=b, target=b.lower()) for _, b in fresh])} == {"copy"}
    assert judged(judges, fresh[0][0], " ".join(b for _, b in fresh[:5])).rejected_by == "lengths"
    assert judged(judges, known[3][0].upper(), known[3][1]).rejected_by == "duplicates"
    assert judged(judges, " ", "X").rejected_by == "empty"


def test_a_pair_passes_once(screens):
    judges, (text, target) = screens(planted.sentences(200)), planted.sentences(201)[200]
    twice = judges.judge([Candidate(text=text, target=target), Candidate(text=text.upper(), target=target)])
    assert [j.rejected_by for j in twice] == ["", "duplicates"]
    assert judged(judges, text, target).rejected_by == "duplicates"


def test_screens_opened_again_say_the_same(screens, tmp_path):
    known, fresh = planted.sentences(80), [Candidate(text=a, target=b, row=i - 1) for i, (a, b) in enumerate(planted.sentences(120)[80:])]
    first, (texts, targets) = screens(known), zip(*known, strict=True)
    again = Screens.opened(texts, targets, tmp_path)
    assert again.cuts() == first.cuts() and again.window == first.window
    assert again.judge(fresh) == first.judge(fresh)


def test_scores_lie_within_bounds_and_below_the_cut_exactly_where_alignment_fails(screens):
    judges = screens(planted.sentences(120))
    pairs = planted.sentences(160)[120:]
    for told in judges.judge([Candidate(text=a, target=pairs[i // 2][1]) for i, (a, _) in enumerate(pairs)]):
        assert all(0 <= s <= 1 for s in told.scores.values())
        if told.rejected_by in ("", "alignment"):
            assert (told.rejected_by == "alignment") == (told.scores["alignment"] < judges.cuts()["alignment"])


def test_a_real_pair_is_scored_by_a_model_that_has_not_seen_it(screens):
    pairs = [*planted.sentences(60), ("zzz qqq", "XXX WWW")]
    own, strange = screens(pairs).alignments([Candidate(text="zzz qqq", target="XXX WWW", row=row) for row in (60, -1)])
    assert own < 0 < strange


# The translator


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    pairs = planted.sentences(330, longest=4)
    vocabulary = Vocabulary.learnt([side for pair in pairs[:300] for side in pair], 400)
    text, target = (vocabulary.ids([pair[i] for pair in pairs[:300]]) for i in (0, 1))

    def batches(t):
        at = torch.randint(300, (16,), generator=stream("batch", t))
        return text[at], target[at]

    run = Run(folder=tmp_path_factory.mktemp("run"))
    net, curves = trained(len(vocabulary), Shape(width=32, depth=1, dropout=0.0, rate=6e-3), batches, 350, run, 0)
    return net, vocabulary, pairs[300:], curves


def test_a_planted_language_is_learnt(learnt):
    net, vocabulary, fresh, curves = learnt
    texts, references = zip(*fresh, strict=True)
    assert Scores("chrf", translated(net, vocabulary, texts), references).corpus() > 60
    assert curves.points["loss"][-1] < 0.5 * curves.points["loss"][0]
    assert Scores("chrf", translated(net, vocabulary, texts, beams=3), references).corpus() > 60


def test_a_drawn_translation_is_a_function_of_its_text_and_seed(learnt):
    net, vocabulary, fresh, _ = learnt
    texts, seeds = [a for a, _ in fresh], list(range(len(fresh)))
    whole = translated(net, vocabulary, texts, seeds=seeds, temperature=1.0)
    some = [translated(net, vocabulary, [texts[i]], seeds=[i], temperature=1.0)[0] for i in (3, 0, 17)]
    assert some == [whole[i] for i in (3, 0, 17)]
    assert whole != translated(net, vocabulary, texts, seeds=[s + 1 for s in seeds], temperature=1.0)
    assert translated(net, vocabulary, texts, seeds=seeds, temperature=0.001) == translated(net, vocabulary, texts)


def test_a_beam_never_says_what_is_less_likely_than_the_greedy_translation(learnt):
    net, vocabulary, fresh, _ = learnt

    def likelihood(said):
        ids, given = vocabulary.ids([a for a, _ in fresh]), vocabulary.ids(said)
        begun = torch.cat([torch.full((len(said), 1), 1), given[:, :-1]], 1)
        with torch.no_grad():
            chance = net.logits(net.states(begun, *net.read(ids))).log_softmax(2).gather(2, given[..., None])[..., 0]
        there = given != 0
        return (chance * there).sum(1) / there.sum(1) ** 0.6

    texts = [a for a, _ in fresh]
    better = likelihood(translated(net, vocabulary, texts, beams=8)) - likelihood(translated(net, vocabulary, texts))
    assert better.mean() >= 0 and (better > -1e-4).float().mean() > 0.9


def test_padding_and_later_tokens_change_nothing(learnt):
    net, vocabulary, fresh, _ = learnt
    text, target = (vocabulary.ids([fresh[0][i]]) for i in (0, 1))
    with torch.no_grad():
        alone = net.states(target, *net.read(text))
        padded = net.states(target, *net.read(torch.nn.functional.pad(text, (0, 5))))
        cut = net.states(target[:, :3], *net.read(text))
    assert torch.allclose(alone, padded, atol=1e-5) and torch.allclose(alone[:, :3], cut, atol=1e-5)


def test_any_text_survives_the_vocabulary():
    vocabulary = Vocabulary.learnt(["ein Haus am See"] * 3, 300)
    texts = ["Ein Haus!", "日本語 и русский", "🙂 a\u0301", "two  spaces"]
    assert vocabulary.texts(vocabulary.ids(texts)) == texts


def test_noise_changes_the_text_alone_and_is_a_function_of_row_and_seed():
    texts, targets = ["A man walks over the old bridge.", "Two dogs play."], ["X", "Y"]
    made = noisy(texts, targets, "typos", [0, 1, 0], [5, 6, 7])
    assert [p.target for p in made] == ["X", "Y", "X"] and [p.row for p in made] == [0, 1, 0]
    assert noisy(texts, targets, "typos", [0], [7])[0] == made[2] and any(p.text != texts[p.row] for p in made)


# Scores and the verdict

SAID = ["Ein Mann läuft.", "Zwei Hunde spielen im Gras", "", "Das Haus ist rot .", "Eine Frau singt laut."]
MEANT = ["Ein Mann rennt.", "Zwei Hunde spielen im Gras.", "Es regnet heute.", "Das Haus ist rot.", "Eine Frau singt."]


def test_scores_are_those_of_sacrebleu():
    assert Scores("chrf", SAID, MEANT).corpus() == sacrebleu.corpus_chrf(SAID, [MEANT]).score
    assert Scores("bleu", SAID, MEANT).corpus() == sacrebleu.corpus_bleu(SAID, [MEANT]).score
    assert Scores("chrf", SAID, MEANT).rows() == [sacrebleu.sentence_chrf(s, [m]).score for s, m in zip(SAID, MEANT, strict=True)]
    weights = np.array([[2.0, 0, 1, 1, 1]])
    again = [0, 0, 2, 3, 4]
    wanted = sacrebleu.corpus_bleu([SAID[i] for i in again], [[MEANT[i] for i in again]]).score
    assert Scores("bleu", SAID, MEANT).resampled(weights)[0] == pytest.approx(wanted)
    chinese = Scores("bleu", ["我爱北京。"], ["我爱上海。"])
    assert "tok:zh" in chinese.signature and "tok:13a" in Scores("bleu", SAID, MEANT).signature


def outputs(pairs, rng, wrong):
    """Translations of which this share of the words is wrong."""
    return [" ".join("QQQQ" if rng.random() < wrong else w for w in b.split()) for _, b in pairs]


def test_identical_arms_differ_by_nothing_and_a_planted_gain_is_proven():
    pairs, rng = planted.sentences(120), np.random.default_rng(0)
    references, units = [b for _, b in pairs], list(range(120))
    real = [outputs(pairs, rng, 0.5) for _ in range(3)]
    same = conclusion({"real": real, "noise": real, "backtranslation": real, "all": real}, references, units, 0)
    assert same["verdict"]["interval"] == [0, 0] and not same["verdict"]["use_synthetic"] and "AM604" in {f.code for f in same["findings"]}
    better = [outputs(pairs, rng, 0.3) for _ in range(3)]
    told = conclusion({"real": real, "noise": real, "backtranslation": better, "all": better}, references, units, 0)["verdict"]
    low, high = told["interval"]
    assert told["use_synthetic"] and 0 < low < told["gain"] < high and told["sentence"].startswith("Use the synthetic pairs: +")
    worse = conclusion({"real": real, "noise": better, "backtranslation": real, "all": real}, references, units, 0)["verdict"]
    assert worse["interval"][1] < 0 and "they do harm" in worse["sentence"] and worse["against"] == "noise" and worse["arm"] == "noise"
    one = conclusion({"real": real[:1], "noise": real[:1], "backtranslation": better[:1], "all": better[:1]}, references, units, 0)["verdict"]
    assert not one["use_synthetic"] and "one seed cannot tell" in one["sentence"]


def test_the_interval_of_a_difference_of_nothing_seldom_leaves_zero_out():
    missed, pairs = 0, planted.sentences(60)
    references, weights = [b for _, b in pairs], samples(list(range(60)), 0, 200)
    for trial in range(40):
        rng = np.random.default_rng(trial)
        a, b = (measured([outputs(pairs, rng, 0.4) for _ in range(3)], references, "chrf", weights) for _ in range(2))
        found = interval(a - b, 60)
        missed += not found.low <= 0 <= found.high
    assert missed <= 6


def test_rows_of_a_unit_are_drawn_together():
    drawn = samples([7, 7, 3, 9], 0, 50)
    assert (drawn[:, 0] == drawn[:, 1]).all() and drawn.shape == (50, 4) and len({tuple(r) for r in drawn}) > 5


# A whole run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("translations")
    return augmind.expand(planted.table(root / "pairs.csv", planted.sentences(60)), root / "r", set=SMALL, **TINY)


def test_a_run_ends_with_arms_verdict_report_and_corpus(run):
    record = run.record
    assert [a["arm"] for a in record["arms"]] == ["real", "noise", "backtranslation", "all"]
    assert {"chrf", "bleu"} == set(record["arms"][0]["metrics"]) and len(record["rows"]) == 16 == len(run.frame())
    assert run.verdict["sentence"] in run.report.read_text("utf-8") and "<mark>" in run.report.read_text("utf-8")
    table = read_table(run.folder / "corpus.parquet")
    assert list(table)[:6] == ["en", "de", "synthetic", "maker", "seed", "of_row"]
    real = [i for i, made in enumerate(table["synthetic"]) if not made]
    assert len(real) == record["plan"]["rows"] and all(table["maker"][i] is None for i in real)
    texts = {table["of_row"][i]: table["de"][i] for i in real}
    made = [i for i, synthetic in enumerate(table["synthetic"]) if synthetic]
    assert made and all(texts[table["of_row"][i]] == table["de"][i] and table["seed"][i] is not None for i in made)


def test_test_rows_are_in_no_training(run):
    job = Job(run.folder)
    tested = {r.text for r in open_seal(job)} | {r.target for r in open_seal(job)}
    for maker in ("noise", "backtranslation"):
        for seed in range(2):
            assert not tested & {p.target for p in stages.kept(job, maker, seed)}
    assert not tested & {side for r in job.train for side in (r.text, r.target)} and len(tested) == 30


def test_arms_see_the_same_real_rows_at_every_step(run):
    job = Job(run.folder)
    real = stages.candidates(job.train)
    plain, mixed = (stages.mixture(job.vocabulary, real, new, 8, 0.5, 3)(5) for new in ([], [Candidate(text="zz", target="ZZ")]))
    assert [a.shape[0] for a in (*plain, *mixed)] == [8] * 4
    for share in (0.01, 0.99):
        batches = stages.mixture(job.vocabulary, real, [Candidate(text="zz", target="ZZ")], 8, share, 3)(5)
        assert job.vocabulary.texts(batches[1]).count("ZZ") == (1 if share < 0.5 else 7)
    assert job.vocabulary.texts(plain[0])[:4] == job.vocabulary.texts(mixed[0])[:4] and job.vocabulary.texts(mixed[1])[4:] == ["ZZ"] * 4


def test_what_is_lost_is_made_again_with_the_same_figures(run, tmp_path):
    data = run.folder.parent / "pairs.csv"
    job, before = Job(run.folder), run.record["rows"]
    finished = job.store.finished()
    gone = [name for name in finished if name.startswith(("learn-", "make-backtranslation"))][1:4]
    for name in gone:
        job.store.forget(name)
    again = augmind.expand(data, run.folder, set=SMALL, **TINY)
    assert again.record["rows"] == before and all(job.store.finished()[n]["seconds"] == finished[n]["seconds"] for n in finished if n not in gone)
    other = augmind.expand(data, tmp_path / "other", set=SMALL, **TINY | {"jobs": 1})
    assert other.record["rows"] == before and other.record["verdict"] == run.record["verdict"]
    assert augmind.resume(run.folder).record["rows"] == before
    with pytest.raises(UsageError, match="other settings"):
        augmind.expand(data, run.folder, set=SMALL, **TINY | {"seed": 5})


def test_a_dry_run_prints_a_plan_and_another_command_goes_on(tmp_path, capsys):
    from augmind.cli import main

    data = planted.table(tmp_path / "d.csv", planted.sentences(40))
    words = ["expand", str(data), "--text", "en", "--target", "de", "--preset", "quick", "--out", str(tmp_path / "r"), "--jobs", "0"]
    main([*words, "--dry-run"])
    told = " ".join(capsys.readouterr().err.split())
    assert "30 pairs to learn from; 10 sealed test pairs" in told and "expect about" in told and not (tmp_path / "r" / "report.json").exists()
    main([*words, "--steps", "translator=3", "--seeds", "1", "--set", "translator.width=32", "translator.tokens=300"])
    assert "chrF" in capsys.readouterr().out and read_json(tmp_path / "r" / "report.json")["plan"]["updates"] == 3


def test_exports_carry_where_each_pair_came_from(run, tmp_path, capsys):
    from augmind.cli import main

    run.export(tmp_path / "out", to="jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()]
    assert {r["maker"] for r in rows} > {None} and {r["synthetic"] for r in rows} == {True, False}
    assert {"README.md", "policy.json", "test.jsonl"} <= {p.name for p in (tmp_path / "out").iterdir()}
    main(["export", str(run.folder), "--to", "csv", "--rows", "synthetic", "--out", str(tmp_path / "csv")])
    assert not (tmp_path / "csv" / "test.csv").exists() and "en,de,synthetic" in (tmp_path / "csv" / "train.csv").read_text("utf-8")
    with pytest.raises(UsageError, match="unknown format of pairs"):
        run.export(tmp_path / "webdataset", to="webdataset")
    for call in (lambda: run.table(), lambda: run.searches, lambda: run.sample("x", 1, tmp_path / "s")):
        with pytest.raises(UsageError, match="run of translations"):
            call()
    with pytest.raises(UsageError, match="no transform of rows"):
        augmind.load_policy(run.folder)
    with pytest.raises(SystemExit):
        main(["compare", str(run.folder)])
    main(["report", str(run.folder)])
    assert run.verdict["sentence"][:40] in " ".join(capsys.readouterr().out.split())
    assert augmind.runs(run.folder.parent)[0]["verdict"]["sentence"] == run.verdict["sentence"]


def test_a_named_model_translates_back_and_monolingual_sentences_have_no_row(tmp_path):
    data, pairs = planted.table(tmp_path / "d.csv", planted.sentences(40)), planted.sentences(60)[40:]
    (tmp_path / "pool.txt").write_text("\n".join(b for _, b in pairs))
    model = str(tiny_translator(tmp_path / "model"))
    options = TINY | {"seeds": 1, "ratio": 0.5, "unlabelled": str(tmp_path / "pool.txt")}
    run = augmind.expand(data, tmp_path / "r", set=SMALL | {"backtranslation.model": model}, **options)
    table = stages.made(Job(run.folder), "backtranslation", 0)
    assert set(table["target"]) <= {b for _, b in pairs} and set(table["of_row"]) == {""} and len(table["target"]) == 15
    arms = {a["arm"]: a["knowledge"] for a in run.record["arms"]}
    assert arms["backtranslation"] == ["pretrained", "rows", "unlabelled"] and arms["noise"] == ["rows"]
    assert not any(name.startswith("reverse") for name in Job(run.folder).store.finished())


def test_a_named_language_model_says_texts_in_other_words_and_has_an_arm(tmp_path, capsys):
    data, model = planted.table(tmp_path / "d.csv", planted.sentences(40)), tiny_language(tmp_path / "model")
    options = TINY | {"seeds": 1, "ratio": 0.4, "set": SMALL | {"paraphrase.model": str(model)}}
    run = augmind.expand(data, tmp_path / "r", **options)
    (run.folder / "report.json").unlink()
    (model / "note.txt").write_text("another model")
    content.cache_clear()  # a process reads a model once; that of the next command is another one
    with pytest.raises(UsageError, match="model of 'paraphrase' is not what it was"):
        augmind.resume(run.folder)
    (model / "note.txt").unlink()
    content.cache_clear()
    run = augmind.resume(run.folder)
    job = Job(run.folder)
    table, known = stages.made(job, "paraphrase", 0), {r.text: r.target for r in job.train}
    assert len(table["text"]) == 12 and set(table["maker"]) == {"paraphrase"}
    assert all(known[job.train[row].text] == target for row, target in zip(table["position"], table["target"], strict=True))
    arms = {a["arm"]: a for a in run.record["arms"]}
    assert list(arms) == ["real", "noise", "backtranslation", "paraphrase", "all"]
    from augmind.cli import main

    main(["expand", str(data), "--text", "en", "--target", "de", "--out", str(tmp_path / "p"), "--set", f"paraphrase.model={model}", "--dry-run"])
    told = " ".join(capsys.readouterr().err.split())
    assert "by noise, backtranslation, and as many by paraphrase" in told and "compare real, noise, backtranslation, paraphrase, all" in told
    assert arms["paraphrase"]["knowledge"] == ["pretrained", "rows"] and arms["paraphrase"]["policy"].startswith(f"other words by {model}")
    assert "paraphrase vs noise" in run.verdict["differences"]["chrf"] and "Texts in other words" in (run.folder / "report.html").read_text("utf-8")


def test_other_wordings_are_functions_of_pair_and_seed(tmp_path):
    model = str(tiny_language(tmp_path / "model"))
    texts, targets = ["the dog runs home", "a cat sleeps", "x"], ["HOME", "CAT", "X"]
    own = [
        paraphrased(texts, targets, rows, seeds, model=model, temperature=0.9, top_p=0.9)
        for rows, seeds in (([0, 1, 0], [5, 6, 7]), ([0, 0], [7, 5]))
    ]
    assert [(c.text, c.target, c.row) for c in own[1]] == [(c.text, c.target, c.row) for c in (own[0][2], own[0][0])]
    assert [c.target for c in own[0]] == ["HOME", "CAT", "HOME"] and own[0][0].text != own[0][2].text
