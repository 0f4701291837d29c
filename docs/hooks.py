"""Generates the page of systems from the catalogue and the systems' own docstrings, when the documentation is built."""

from importlib import import_module
from inspect import getdoc
from typing import Any

from mkdocs.structure.files import File, Files

from urbild import catalogue


def page() -> str:
    """One section a system: its card, its docstring, its options."""
    parts = ["# Systems", "", "Generated from the catalogue. `urbild models NAME` shows the same in a terminal.", ""]
    for card in sorted(catalogue.cards().values(), key=lambda card: (card.family, card.name)):
        doc = getdoc(import_module(card.module)) or ""
        options = getdoc(catalogue.builder(card.name)) or ""
        parts += [
            f"## {card.name}",
            "",
            f"{card.title}. Family: {card.family}. Data: {', '.join(card.kinds)}. Verbs: {', '.join(card.verbs)}.",
            "",
            f"[{card.paper}]({card.url})",
            "",
            "```text",
            doc,
            "```",
            "",
            "```text",
            options,
            "```",
            "",
        ]
    return "\n".join(parts)


def on_files(files: Files, config: Any) -> Files:
    """Adds the page to those that are built."""
    files.append(File.generated(config, "systems.md", content=page()))
    return files
