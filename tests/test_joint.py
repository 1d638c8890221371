"""Pictures with their sounds: what is read and set aside, what is done to each side, what is asked of both, and a whole run."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image

import augmind
from augmind.core.errors import DataError, UsageError, WrongSpec
from augmind.core.feed import Feed
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.sides import apart, joined, own_data
from augmind.core.types import Choice, Samples, Spec
from augmind.modalities.joint.codec import JointCodec
from hearing import hum, wav
from rows import joint
from runs import digit_rows
from speaking import pretend

NAMES = ("low", "high", "middle")
PITCH = {"low": 150, "middle": 400, "high": 900}
SIDES = {"image": [1, 16, 16], "audio": [1, 16, 24]}


def folder(root, per_class=8, sounds=None):
    """Digits of 8 x 8 with hums, CLASS/N.png and CLASS/N.wav; the hums in a folder of their own if one is given."""
    x, _ = digit_rows(per_class, 3)
    for k, name in enumerate(NAMES):
        for place in (root, sounds or root):
            (place / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            Image.fromarray(x[k * per_class + i]).save(root / name / f"{i:02d}.png")
            ((sounds or root) / name / f"{i:02d}.wav").write_bytes(wav(hum(PITCH[name] * (1 + 0.02 * i), 8000, 0.3 + 0.02 * i, i)))
    return root


def table(path, root):
    """A table that names both files of every row, sounds first."""
    names = [f"{root.name}/{f.relative_to(root).with_suffix('')}" for f in sorted(root.rglob("*.png"))]
    path.write_text("\n".join(["sound,picture,label", *(f"{n}.wav,{n}.png,{n.split('/')[-2]}" for n in names)]))
    return path


# what is read


def test_one_folder_two_folders_and_a_table_give_the_same_rows(tmp_path):
    one = augmind.load(folder(tmp_path / "both"))
    two = augmind.load(folder(tmp_path / "pictures", sounds=tmp_path / "sounds"), beside=tmp_path / "sounds")
    rows = augmind.load(table(tmp_path / "t.csv", tmp_path / "both"), column="sound,picture")
    assert one.spec.parts == ("image", "audio") and one.codec.name == "joint" and len(one.samples) == 24
    assert [s.shape for s in one.spec.sides] == [(1, 8, 8), (1, 40, 48)] and one.spec.sides[1].rate == 8000
    assert all(d.spec == one.spec and torch.equal(d.samples.x, one.samples.x) and torch.equal(d.samples.y, one.samples.y) for d in (two, rows))
    seen, heard = apart(one.samples.x, one.spec)
    assert torch.equal(seen, augmind.load(tmp_path / "pictures").samples.x) and torch.equal(heard, augmind.load(tmp_path / "sounds").samples.x)
    assert "a picture and a sound of one name are one row" in one.findings[0].text and {"AM105"} <= {f.code for f in one.findings}


def test_files_that_lack_the_other_are_set_aside_with_the_reason(tmp_path):
    root = folder(tmp_path / "both")
    (root / "low" / "00.wav").unlink()
    (root / "high" / "01.png").unlink()
    (root / "low" / "02.jpg").write_bytes((root / "low" / "02.png").read_bytes())
    data = augmind.load(root)
    aside = {r.source: r.reason for r in data.rows if r.status == "corrupt"}
    assert aside["low/00.png"] == "no sound has its name" and aside["high/01.wav"] == "no picture has its name"
    assert "2 pictures have this name: 02.jpg, 02.png" in aside["low/02.jpg"] and len(data.samples) == 21


@pytest.mark.parametrize(("broken", "reason"), [("low/03.png", "picture"), ("low/03.wav", "cannot be decoded")], ids=["picture", "sound"])
def test_a_row_of_which_one_side_cannot_be_read_is_set_aside(tmp_path, broken, reason):
    root = folder(tmp_path / "both")
    (root / broken).write_bytes(b"neither this nor that")
    data = augmind.load(root)
    (row,) = [r for r in data.rows if r.status == "corrupt"]
    assert reason in row.reason and len(data.samples) == 23


def test_sources_that_do_not_fit_are_refused_in_one_sentence(tmp_path):
    pictures = folder(tmp_path / "pictures", sounds=tmp_path / "sounds")
    for file in sorted((tmp_path / "sounds").rglob("*.wav")):
        file.rename(file.with_name(f"other{file.name}"))
    with pytest.raises(DataError, match=r"no file of --beside '.*sounds' has the name of a file of the data"):
        augmind.load(pictures, beside=tmp_path / "sounds")
    with pytest.raises(DataError, match="there is no file or folder"):
        augmind.load(pictures, beside=tmp_path / "nowhere")
    (tmp_path / "x.csv").write_text("path,label\na.wav,b")
    with pytest.raises(UsageError, match="neither a folder nor an archive"):
        augmind.load(pictures, beside=tmp_path / "x.csv")
    both = table(tmp_path / "t.csv", folder(tmp_path / "both"))
    with pytest.raises(UsageError, match="does not name two columns"):
        augmind.load(both, column="sound,sound")
    with pytest.raises(DataError, match="has no column 'image'"):
        augmind.load(both, column="sound,image")
    both.write_text(both.read_text().replace(".wav", ".png"))
    with pytest.raises(DataError, match="both files of a row are pictures"):
        augmind.load(both, column="sound,picture")


def test_a_side_that_is_seen_again_keeps_rows_together(tmp_path):
    root = folder(tmp_path / "both")
    (root / "low" / "05.png").write_bytes((root / "low" / "04.png").read_bytes())
    (root / "high" / "06.wav").write_bytes((root / "high" / "02.wav").read_bytes())
    data = augmind.inspect(root).dataset
    kin = {r.source: r.kin for r in data.rows}
    assert kin["low/04.png"] == kin["low/05.png"] >= 0 and kin["high/02.png"] == kin["high/06.png"] >= 0
    assert kin["low/04.png"] != kin["high/02.png"] and len(data.samples) == 24


# the codec


def test_values_features_and_natives_are_those_of_the_sides():
    data = joint(6)
    codec, (seen, heard) = data.codec, own_data(data)
    assert torch.equal(joined(apart(data.train.x, data.spec)), data.train.x)
    z = [c.embed(d.train.x) for c, d in zip(codec.codecs, (seen, heard), strict=True)]
    assert codec.widths == tuple(part.shape[1] for part in z)
    for own, part in zip(data.train.z.split(codec.widths, 1), z, strict=True):
        torch.testing.assert_close(own, part / part.norm(dim=1, keepdim=True))
        torch.testing.assert_close(own.norm(dim=1), torch.ones(6))
    picture, wave = codec.decode(data.train.x[:1])[0]
    assert torch.equal(codec.codecs[0].encode([picture]), seen.train.x[:1]) and wave.ndim == 1
    assert codec.encode([]).shape == (0, data.spec.shape[0])
    shown = codec.preview(data.train.x[:2])
    assert all("data:image/png" in page and "data:audio/wav" in page for page in shown)
    assert codec.tiles(data.train.x[:2]).shape == (2, 16, 16 + 2 + 24, 3)
    assert Spec.from_json(json.loads(json.dumps(data.spec.to_json()))) == data.spec


def test_backbones_are_named_by_side_or_found_by_the_side_that_knows_them():
    spec = joint(3).spec
    assert [c.backbone_name for c in JointCodec(spec).codecs] == ["lite0", "mfcc"]
    assert [c.backbone_name for c in JointCodec(spec, "image=lite0@32,audio=mfcc").codecs] == ["lite0@32", "mfcc"]
    assert [c.backbone_name for c in JointCodec(spec, "lite0@48").codecs] == ["lite0@48", "mfcc"]
    wrong = {"nothing": "none of the sides image, audio", "org/model": "more than one of the sides", "text=x": "no side of these rows"}
    for name, words in wrong.items():
        with pytest.raises(UsageError, match=words):
            JointCodec(spec, name)
    with pytest.raises(WrongSpec, match="join no sides"):
        JointCodec(Spec(kind="continuous", shape=(4,), classes=("a", "b")))


# classical augmentation


def test_each_side_gets_the_transform_of_its_own_kind():
    data = joint(8)
    x, y = data.spec.to_model(data.train.x), torch.eye(3)[data.train.y]
    seen, heard = apart(x, data.spec)
    first = make("transforms", Choice(name="each", settings={"by": ["flip_crop", "none"], "sides": SIDES})).apply(x, y, 3)[0]
    second = make("transforms", Choice(name="each", settings={"by": ["none", "wave"], "sides": SIDES})).apply(x, y, 3)[0]
    both = make("transforms", Choice(name="each", settings={"by": ["flip_crop", "wave"], "sides": SIDES})).apply(x, y, 3)[0]
    assert torch.equal(apart(first, data.spec)[1], heard) and not torch.equal(apart(first, data.spec)[0], seen)
    assert torch.equal(apart(second, data.spec)[0], seen) and not torch.equal(apart(second, data.spec)[1], heard)
    assert torch.equal(both, joined([apart(first, data.spec)[0], apart(second, data.spec)[1]]))
    with pytest.raises(UsageError, match=r"each: by=flip is not allowed.*"):
        make("transforms", Choice(name="each", settings={"by": ["flip"], "sides": SIDES})).apply(x, y, 3)


def test_exchange_makes_rows_of_two_of_one_class():
    z, y = torch.arange(40.0).reshape(10, 4), torch.eye(3)[torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 2])]
    mixing = make("mixing", Choice(name="exchange", settings={"widths": {"image": 1, "audio": 3}, "probability": 1.0}))
    out, soft = mixing.apply(z, y, 0)
    assert torch.equal(soft, y) and torch.equal(out[:, 0], z[:, 0])
    other = (out[:, 1] - 1) / 4
    assert torch.equal(y[other.long()], y) and (other[:9] != torch.arange(9)).all() and other[9] == 9
    assert torch.equal(out[:, 1:], z[other.long(), 1:]) and len(other.unique()) == 10


def test_classical_arms_hold_each_side_alone_both_and_exchanges():
    arms = {c.name: c for c in joint(3).codec.classical}
    assert {"none", "image flip_crop & audio wave", "image flip_crop", "audio wave", "exchange", "image flip_crop & audio wave+exchange"} <= set(arms)
    assert arms["audio wave"].transform.settings["by"] == ["none", "wave"] and arms["exchange"].mixing.settings["widths"] == {
        "image": 1280,
        "audio": 96,
    }


# generators, screens, learner


def test_apart_draws_each_side_by_a_generator_of_its_own(tmp_path, monkeypatch):
    pretend(monkeypatch)
    data = joint(24)
    settings = {"by": ["vae", "tts"], "steps": 50, "describe": {"class 0": "zero", "class 1": "one", "class 2": "two"}}
    fitted = make("generators", Choice(name="apart", settings=settings)).fit(data, Run(folder=tmp_path))
    y, seeds = torch.arange(9) % 3, row_seeds(9, "joint")
    seen, heard = apart(fitted.sample(y, seeds), data.spec)
    alone = make("generators", Choice(name="tts", settings={"describe": settings["describe"]})).fit(own_data(data)[1], Run(folder=tmp_path))
    assert heard.shape == (9, 1, 16, 24) and seen.shape == (9, 1, 16, 16) and fitted.known.name == "pretrained"
    assert {f"image {k}" for k in ("reconstruction", "kl")} == set(fitted.curves_.points) and alone.spec_.rate == 8000
    again = apart(fitted.sample(y, seeds + 1), data.spec)
    assert not torch.equal(again[0], seen) and not torch.equal(again[1], heard)
    for by in (["vae"], ["vae", "feature"], ["vae", "apart"]):
        with pytest.raises(UsageError, match=f"apart: by={','.join(by)} is not allowed") as refused:
            make("generators", Choice(name="apart", settings={"by": by})).fit(data, Run(folder=tmp_path))
        assert "name 2 generators of rows, one a side" in refused.value.help


def mismatched(n=60, seed=3):
    """Rows whose second side is that of the next class, under the label of the first."""
    fresh = joint(n, seed)
    seen, heard = apart(fresh.train.x, fresh.spec)
    x = joined([seen, heard[(torch.arange(n) + 1) % n]])
    return Samples.synthetic("toy", x, fresh.train.y, row_seeds(n, seed), z=fresh.codec.embed(x))


def test_rows_whose_sides_disagree_are_rejected_though_one_side_speaks_for_the_label(tmp_path):
    data = joint(60)
    screen = make("screens", Choice(name="sides")).fit(data, Run(folder=tmp_path))
    fresh = joint(60, 4)
    good = Samples.synthetic("toy", fresh.train.x, fresh.train.y, row_seeds(60, 1), z=fresh.train.z)
    assert (screen.score(good) >= screen.cut).float().mean() > 0.85
    assert (screen.score(mismatched()) >= screen.cut).float().mean() < 0.1


def test_a_copy_of_one_side_is_a_copy(tmp_path):
    data, fresh = joint(60), joint(60, 5)
    screen = make("screens", Choice(name="novelty")).fit(data, Run(folder=tmp_path))
    seen, heard = apart(fresh.train.x, data.spec)
    copied = joined([apart(data.train.x, data.spec)[0], heard])
    rows = {"fresh": fresh.train.x, "copied": copied}
    passed = {
        name: float((screen.score(Samples.synthetic("toy", x, data.train.y, row_seeds(60, 2), z=data.codec.embed(x))) >= screen.cut).float().mean())
        for name, x in rows.items()
    }
    assert passed["copied"] == 0 and passed["fresh"] > 0.8 and seen.shape == (60, 1, 16, 16)


def noise(data, side):
    """The data with one side as noise, in the features too."""

    def spoiled(rows):
        parts = list(rows.z.split(data.codec.widths, 1))
        parts[side] = torch.randn(parts[side].shape, generator=stream("noise", len(rows), side))
        return rows.with_features(torch.cat(parts, 1))

    return dataclasses.replace(data, train=spoiled(data.train), val=spoiled(data.val))


@pytest.mark.parametrize("side", [0, 1])
def test_late_fusion_listens_to_the_side_that_knows(tmp_path, side):
    data = noise(joint(60), side)
    none = make("transforms", Choice(name="none"))
    feed = Feed(real=data.train, spec=data.spec, codec=data.codec, transform=none, mixing=none)
    learner = make("learners", Choice(name="late_fusion")).fit(feed, Run(folder=tmp_path))
    right = (learner.predict(data.val).argmax(1) == data.val.y).float().mean()
    assert right > 0.9 and (learner.share_ < 0.5) == (side == 0)


# a whole run


def test_pictures_with_sounds_get_the_whole_job(tmp_path, monkeypatch):
    pretend(monkeypatch)
    pictures = folder(tmp_path / "pictures", sounds=tmp_path / "sounds")
    options = {"preset": "quick", "seeds": 1, "test": 0.25, "jobs": 0, "steps": {"apart": 50, "vae": 50}, "backbone": "image=lite0@32"}
    run = augmind.expand(pictures, tmp_path / "r", beside=str(tmp_path / "sounds"), explain=False, **options)
    record, plan = run.record, json.loads((tmp_path / "r" / "plan.json").read_text())
    assert {a["learner"] for a in record["arms"]} >= {"probe", "late_fusion"} and run.verdict["sentence"].endswith(".")
    assert plan["settings"]["apart"]["by"] == ["vae", "tts"] and "sides" in plan["screens"]
    assert {g["name"]: g["knowledge"] for g in record["generators"]} == {"apart": "pretrained", "vae": "rows", "feature": "pretrained"}
    (choice, *_) = record["choices"]
    assert {"none", "exchange", "audio wave", "image flip_crop & audio wave"} <= set(choice["scores"])
    page = run.report.read_text()
    assert "data:audio/wav" in page and "data:image/png" in page
    assert "--beside" in record["reproduce"]
    out = run.export(tmp_path / "out", rows="real")
    again = augmind.load(out)
    assert (
        again.spec.parts == ("image", "audio")
        and len(again.samples) == 18
        and {r.source for r in again.bad()} <= {"README.md", "policy.json", "rows.csv"}
    )
    with Image.open(next(out.rglob("*.png"))) as picture:
        assert picture.size == (8, 8)
    assert soundfile.read(next(out.rglob("*.wav")))[1] == 8000
    assert augmind.load(run.export(tmp_path / "f", to="flac", rows="real")).spec == again.spec and len(list((tmp_path / "f").rglob("*.flac"))) == 18
    file = run.export(tmp_path / "p", to="parquet", rows="real") / "train.parquet"
    assert {"image", "audio", "label"} <= set(pq.read_schema(file).names) and len(augmind.load(file).samples) == 18
    files = [f for part in ("pictures", "sounds") for f in (tmp_path / part).rglob("*.*")]
    given = run.export(tmp_path / "o", originals=True)
    assert Counter(f.read_bytes() for f in files) == Counter(f.read_bytes() for f in given.rglob("real-*.*"))
    arrays = np.load(run.export(tmp_path / "n", to="npz", rows="real") / "dataset.npz")
    assert arrays["train_image"].shape == (18, 8, 8, 1) and arrays["train_audio"].shape == (18, 40, 48, 1)


def test_a_search_over_sides_is_refused_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="does not yet know the transforms"):
        augmind.expand(folder(tmp_path / "both"), tmp_path / "r", preset="quick", search=True, jobs=0)


def test_a_second_column_of_files_that_nobody_named_is_told(tmp_path):
    both = table(tmp_path / "t.csv", folder(tmp_path / "both"))
    text = both.read_text().replace("picture,", "path,", 1)
    both.write_text(text)
    (told,) = [f.text for f in augmind.load(both, label="label").findings if f.code == "AM101"]
    assert "'sound' names files too: --column path,sound takes both as one row" in told
    assert "names files too" not in str([f.text for f in augmind.load(both, label="label", column="path").findings])
