"""Previews of rows come as HTML from the codec; here they are rebuilt from a short list of harmless tags."""

from html.parser import HTMLParser

from markupsafe import Markup, escape

from .words import clean

COMMON = frozenset({"title", "dir", "lang"})
SHAPE = frozenset({"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "d", "points", "width", "height", "fill", "stroke", "stroke-width"})
TAGS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("span", "code", "p", "b", "em", "i", "small", "mark", "q"), COMMON),
    "br": frozenset(),
    "img": COMMON | {"src", "alt", "width", "height"},
    "audio": COMMON | {"src", "controls", "controlslist"},
    "svg": frozenset({"viewbox", "width", "height", "role", "aria-label", "preserveaspectratio"}),
    **dict.fromkeys(("g", "path", "rect", "line", "circle", "polyline"), SHAPE),
}
VOID = frozenset({"br", "img"})
SILENT = frozenset({"script", "style", "title", "template", "iframe", "object", "noscript", "textarea"})


class Rebuilder(HTMLParser):
    """Copies allowed tags and attributes, keeps other text, closes what was left open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[str] = []
        self.open: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self.silent.append(tag)
        if self.silent or tag not in TAGS:
            return
        kept = "".join(f' {k}="{escape(clean(v))}"' for k, v in dict(attrs).items() if v is not None and allowed(tag, k, v))
        self.out.append(f"<{tag}{kept}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent:
            if tag == self.silent[-1]:
                self.silent.pop()
        elif tag in self.open:
            while (last := self.open.pop()) != tag:
                self.out.append(f"</{last}>")
            self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(str(escape(clean(data))))

    def finish(self, html: str) -> str:
        self.feed(html)
        self.close()
        return "".join(self.out) + "".join(f"</{t}>" for t in reversed(self.open))


def allowed(tag: str, name: str, value: str) -> bool:
    """Whether an attribute may stay: known for its tag, and never an address other than an embedded picture or sound."""
    if name not in TAGS[tag]:
        return False
    if name == "src":
        return value.startswith("data:audio/" if tag == "audio" else "data:image/")
    return "url(" not in value.lower() and "javascript:" not in value.lower()


def inert(html: object) -> Markup:
    """The preview as markup that cannot run, load or overlay anything, with all tags closed; empty for what is no string."""
    return Markup(Rebuilder().finish(html)) if isinstance(html, str) else Markup("")
