"""The commands that pages, docstrings and configuration comments print, as somebody would copy them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted(path for folder in ("rnngen", "pipeline", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
CONFIGURATIONS = [
    ROOT / "config.yaml",
    *sorted((ROOT / "workflow").rglob("*.yaml")),
    *sorted((ROOT / "profiles").rglob("config.yaml")),
]

COMMAND = re.compile(r"(python -m|snakemake|torchrun|rnngen|pip|make|git|mkdir|cat|head|echo) ")


def printed() -> dict[str, str]:
    """Every command → where it is printed first, in the order of reading."""
    found: dict[str, str] = {}
    for paths, commands_of in ((PAGES, of_page), (CONFIGURATIONS, of_comments), (MODULES, of_docstrings)):
        for path in paths:
            for command in commands_of(path.read_text(encoding="utf-8")):
                found.setdefault(command, str(path.relative_to(ROOT)))
    return found


def blocks(text: str) -> Iterator[tuple[str | None, str]]:
    """(language, text) of the fenced blocks of a Markdown page and, with None for a language, of the indented ones."""
    lines = text.split("\n")
    number, after_blank = 0, True
    while number < len(lines):
        first, after = number, after_blank
        after_blank = not lines[number].strip()
        number += 1
        if fence := re.match(r" *```(\w*)", lines[first]):
            number = next(k for k in range(number, len(lines)) if re.match(r" *```", lines[k])) + 1
            yield fence[1], "\n".join(lines[first + 1 : number - 1])
        elif after and re.match(r" {4,}\S", lines[first]):
            while number < len(lines) and re.match(r" {4,}\S", lines[number]):
                number += 1
            yield None, "\n".join(lines[first:number])


def of_page(text: str) -> list[str]:
    """The commands of the blocks of a page that are not in another language."""
    shell = [block for language, block in blocks(text) if language in (None, "", "sh", "console")]
    return [command for block in shell for command in commands(block.split("\n"))]


def of_comments(text: str) -> list[str]:
    """The commands in the comments of a configuration, which are indented within them."""
    return commands(re.findall(r"^# {3,}(.*)$", text, re.MULTILINE))


def of_docstrings(text: str) -> list[str]:
    """The commands in the docstrings of a module, which are what `--help` shows."""
    documented = ast.Module | ast.FunctionDef | ast.ClassDef
    docstrings = (
        ast.get_docstring(node, clean=False) for node in ast.walk(ast.parse(text)) if isinstance(node, documented)
    )
    return [command for docstring in docstrings if docstring for command in commands(docstring.split("\n")[1:])]


def commands(lines: list[str]) -> list[str]:
    """Those of the lines that are commands; one that ends in a backslash or within quotes goes on in the next."""
    found: list[str] = []
    unfinished = False
    for line in lines:
        if unfinished:
            found[-1] = (
                found[-1].removesuffix("\\") + line.strip() if found[-1].endswith("\\") else f"{found[-1]}\n{line}"
            )
        elif COMMAND.match(line.strip()):
            found.append(line.strip())
        else:
            continue
        found[-1] = without_comment(found[-1])
        unfinished = (
            found[-1].endswith("\\") or outside_quotes(found[-1]).count("'") + outside_quotes(found[-1]).count('"') > 0
        )
    return found


def outside_quotes(text: str) -> str:
    """A command line without what is in closed quotes."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: "_" * len(quoted[0]), text)


def without_comment(line: str) -> str:
    comment = re.search(r"\s+# ", outside_quotes(line))
    return line[: comment.start()] if comment else line
