"""How the documentation becomes a site: `./dev run docs:build`.

The pages are the Markdown files where they stand in the repository, so that links between them hold
there as well; the reference is made of docstrings.
"""

import html
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

HERE = Path(__file__).parent

project = "Gestalt"
author = "The Gestalt developers"
copyright = author  # noqa: A001 - Sphinx's name
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "README"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "docs/**",
    "packages/*/*.md",
]
suppress_warnings = ["myst.header"]
nitpicky = False
default_role = "py:obj"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_default_options = {
    "members": True,
    "imported-members": True,
    "show-inheritance": True,
    "member-order": "bysource",
}
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "Gestalt"
# The theme's own underlines modules as if they were links.
pygments_dark_style = "a11y-high-contrast-dark"
# What is copied of a terminal is what was typed.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"
html_extra_path = ["site/index.html"]
html_static_path = ["site/static"]
html_favicon = "site/static/gestalt.svg"
html_css_files = ["gestalt.css"]
html_copy_source = False
html_show_sphinx = False

METADATA = tomllib.loads((HERE.parent / "packages/gestalt/pyproject.toml").read_text("utf-8"))
REPOSITORY: str = METADATA["project"].get("urls", {}).get("Source", "")

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")


def mark_programs(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Have what is indented below a sentence shown as the program that it is."""
    marked: list[str] = []
    previous = ""
    within_section = within_program = False
    for line in lines:
        if line and not line.startswith(" "):
            within_section = bool(SECTION.match(line))
            within_program = False
        elif line.startswith("    ") and not (within_section or within_program or previous):
            within_program = True
            marked += [".. code-block:: python", ""]
        marked.append(line)
        previous = line
    lines[:] = marked


def sign_by_init(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Have classes whose `__new__` takes anything show what their `__init__` takes."""
    if what == "class" and getattr(obj, "_is_protocol", False):
        return "", returned  # nobody makes one
    if what != "class" or "__new__" not in dir(obj) or not (signature or "").startswith("(*_args"):
        return None
    found = inspect.signature(obj.__init__)
    _, *parameters = found.parameters.values()
    return str(found.replace(parameters=parameters, return_annotation=found.empty)), returned


def leave_out_object(app: Sphinx, document: nodes.document) -> None:
    """Say of no class that its base is `object`."""
    for content in document.findall(addnodes.desc_content):
        if content.children and content[0].astext() == "Bases: object":
            content.remove(content[0])


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Tell search engines of a page what its first paragraph says."""
    if document is None or (first := next(document.findall(nodes.paragraph), None)) is None:
        return
    text = html.escape(" ".join(first.astext().split()))
    context["metatags"] += f'<meta name="description" content="{text}">'


def lead_to_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Have links that READMEs need on an index lead to the pages here; release/urls.py has them."""
    if name.startswith("packages/") and REPOSITORY:
        source[0] = source[0].replace(f"]({REPOSITORY}/blob/main/", "](../../")


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the home page, which is the repository's own, the contents of the site."""
    if name == root_doc:
        source[0] += "\n" + (HERE / "site/contents.txt").read_text("utf-8")


def sort_names() -> None:
    """Have packages, which have no `__all__` of their own, tell names by the alphabet."""
    for file in HERE.parent.glob("packages/*/src/gestalt/*/__init__.py"):
        module: Any = importlib.import_module(f"gestalt.{file.parent.name}")
        names = [name for name, value in vars(module).items() if not inspect.ismodule(value)]
        module.__all__ = sorted(name for name in names if not name.startswith("_"))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    sort_names()
    # Before napoleon turns sections into fields.
    app.connect("autodoc-process-docstring", mark_programs, priority=400)
    app.connect("autodoc-process-signature", sign_by_init)
    app.connect("doctree-read", leave_out_object)
    app.connect("source-read", lead_to_pages)
    app.connect("source-read", add_contents)
    app.connect("html-page-context", describe)
