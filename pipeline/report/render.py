"""The page from its parts: template, style and scripts become one file that needs nothing else."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline.report.content import Content
from rnngen.ink.layout import LINE_CHARACTERS
from rnngen.web import one_file
from rnngen.web.one_file import embed_json, one_script, security_policy, template_environment
from rnngen.web.writer_page import WRITER_SCRIPTS, worker_script

FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    *WRITER_SCRIPTS,
    *(FOLDER / name for name in ("gallery.js", "curves.js", "tables.js", "page.js")),
)


def render(content: Content, about: dict[str, Any]) -> str:
    """The page; `about` is the provenance of the page itself."""
    environment = template_environment(FOLDER)
    environment.filters |= {
        "fixed": format_number,
        "printed": format_printed,
        "signed": format_signed,
        "shaded": shade,
    }
    style = "".join(
        path.read_text(encoding="utf-8")
        for path in (FOLDER / "vendor" / "uPlot.css", one_file.FOLDER / "style.css", FOLDER / "style.css")
    )
    plots, script = (FOLDER / "vendor" / "uPlot.js").read_text(encoding="utf-8"), one_script(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        content=content,
        about=about,
        policy=Markup(security_policy([style], [plots, script])),
        style=Markup(style),
        plots=Markup(plots),
        script=Markup(script),
        data=Markup(embed_json(data_of(content))),
    )


def data_of(content: Content) -> dict[str, Any]:
    """What the scripts read."""
    return {
        "network": content.network,
        "writer": content.writer,
        "model": content.model,
        "corpus": content.corpus,
        "worker": worker_script(),
        "lineWidth": LINE_CHARACTERS,
        "primes": content.primes if content.writer or content.network else [],
        "groups": content.groups,
        "biased": content.biased,
        "tables": {table["name"]: table["csv"] for table in content.tables},
        "curves": {e.name: e.curves for e in content.experiments if e.curves},
    }


# --- filters ---------------------------------------------------------------------------------------------------------


def format_number(value: float | None, digits: int) -> str:
    """A number with this many digits; a dash where there is none. The minus is a minus."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def format_printed(value: object) -> str:
    """A number of the paper with the digits it prints; a dash where it prints none. The minus is a minus."""
    return "–" if value is None else str(value).replace("-", "−")


def format_signed(value: float | None, digits: int) -> str:
    """The same with its sign."""
    return "–" if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def shade(scored: dict[str, Any]) -> Markup:
    """Symbols, each with its bits as a style property that the style sheet turns into a shade."""
    template = Markup('<i style="--b:{:g}">{}</i>')
    space = " " if scored["words"] else ""
    return Markup("").join(
        template.format(bits, (symbol or "") + space)
        for symbol, bits in zip(scored["symbols"], scored["bits"], strict=True)
    )
