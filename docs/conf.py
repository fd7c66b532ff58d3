"""Configuration of Sphinx. Everything is built offline, every warning is an error."""

import inspect
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from inventories import make_inventories

import sk_autoencoder
from sk_autoencoder._protocols import Network

# ------------------------------------------------------------------------ project

project = "sk_autoencoder"
author = "The sk_autoencoder developers"
copyright = f"2026, {author}"
version = release = sk_autoencoder.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# docs/examples holds the gallery's sources; its pages are built to auto_examples.
exclude_patterns = ["_build", "examples", "templates"]
templates_path = ["templates"]
default_role = "literal"

# Links into the documentation of other projects, code of the gallery included.
intersphinx_mapping = make_inventories(HERE / "_build" / "inventories")

# --------------------------------------------------------------------------- HTML

html_theme = "pydata_sphinx_theme"
html_title = f"sk_autoencoder {release}"
html_theme_options = {
    "logo": {"text": "sk_autoencoder"},
    "navbar_end": ["theme-switcher"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
# Pages without any below or beside them have nothing to show in the sidebar.
html_sidebars = {
    page: []
    for page in (
        "getting_started",
        "installation",
        "comparison",
        "benchmarks",
        "faq",
        "changelog",
    )
}

# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---------------------------------------------------------------------------- API

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings tell the types, and more than that
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False  # docs/templates/class.rst lists them

HOOKS = {name for name in vars(Network) if not name.startswith("_")}


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what users of a class do not call.

    These are the methods of scikit-learn and Python, whose own pages tell them, and the
    hooks through which an estimator builds a network.
    """
    if what != "class" or not (inspect.isroutine(obj) or callable(obj)):
        return None
    module = getattr(obj, "__module__", None) or ""
    if module.startswith("sk_autoencoder.networks") and name in HOOKS:
        return True
    return None if module.startswith("sk_autoencoder") else True


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("include-read", link_to_pages)


# ----------------------------------------------------------------------- Markdown

myst_heading_anchors = 3

# CHANGELOG.md and CONTRIBUTING.md link to files of the repository. Some have a page
# here; of the others the name is left.
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FILE_LINK = re.compile(r"\[([^]]+)\]\(((?:[a-z]+/)?[A-Z_]+\.md)\)")


def link_to_pages(app, relative_path, parent_docname, content):
    """Link to this documentation's pages in the place of the repository's files."""

    def replaced(match):
        text, file = match.groups()
        return f"[{text}]({PAGES[file]})" if file in PAGES else f"`{file}`"

    content[0] = FILE_LINK.sub(replaced, content[0])


# ------------------------------------------------------------------------ gallery

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "subsection_order": [
        f"examples/{folder}"
        for folder in ("reduce", "tables", "outliers", "images", "training")
    ],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "doc_module": ("sk_autoencoder",),
    "backreferences_dir": "generated/backreferences",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "matplotlib_animations": False,
}
