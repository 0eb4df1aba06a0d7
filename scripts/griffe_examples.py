"""Shows the doctests at the end of docstrings as examples in the reference of the API."""

from __future__ import annotations

import textwrap
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Puts the heading `Examples:` before the first `>>>` of a docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring and "\n>>> " in obj.docstring.value:
            text, code = obj.docstring.value.split("\n>>> ", 1)
            examples = textwrap.indent(f">>> {code}", "    ")
            obj.docstring.value = f"{text}\n\nExamples:\n{examples}"
