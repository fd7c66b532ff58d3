"""Configuration of Sphinx. Everything is built offline, every warning is an error."""

import inspect

import sk_autoencoder

# ------------------------------------------------------------------------ project

project = "sk_autoencoder"
author = "The sk_autoencoder developers"
copyright = f"2026, {author}"
version = release = sk_autoencoder.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
# docs/examples holds the gallery's sources; its pages are built to auto_examples.
exclude_patterns = ["_build", "examples", "templates"]
templates_path = ["templates"]
default_role = "literal"

# --------------------------------------------------------------------------- HTML

html_theme = "furo"
html_title = f"sk_autoencoder {release}"

# ---------------------------------------------------------------------------- API

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings tell the types, and more than that
autodoc_default_options = {"member-order": "bysource"}
numpydoc_show_class_members = False  # docs/templates/class.rst lists them


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and Python define; their own pages tell it."""
    if what != "class" or not (inspect.isroutine(obj) or callable(obj)):
        return None
    module = getattr(obj, "__module__", None) or ""
    return None if module.startswith("sk_autoencoder") else True


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign)


# ----------------------------------------------------------------------- Markdown

# CHANGELOG.md and CONTRIBUTING.md link to each other as files of the repository.
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]

# ------------------------------------------------------------------------ gallery

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
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
