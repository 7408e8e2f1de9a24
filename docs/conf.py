"""Settings of Sphinx. `make docs` builds the pages, with warnings as errors."""

import importlib.metadata
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# Cells call `kantor` as a reader would, whether or not the environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Jupyter asks for colours and moving bars, which a page cannot show.
os.environ["TTY_COMPATIBLE"] = "0"
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

project = "kantor"
author = "the kantor authors"
project_copyright = "the kantor authors, Apache-2.0"
release = importlib.metadata.version("kantor")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "kantor_pages"]
exclude_patterns = ["_build", "benchmarks"]
# Two packages have a Batch; each one's pages mean its own, which is the first that is looked up.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "kantor"
html_static_path = ["_static"]
html_css_files = ["kantor.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# A cell that fails fails the build. Results are kept until a cell changes; `make test-docs` runs all of them afresh.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_image_options = {"align": "center"}

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False

# Every reference to something of kantor's must resolve; other projects' pages are not at hand offline.
nitpicky = True
# Nor do type variables have a page.
nitpick_ignore_regex = [(r"py:.*", r"(?!kantor).*"), (r"py:class", r"kantor\..*\.(_[A-Z]\w*|[A-Z])")]
