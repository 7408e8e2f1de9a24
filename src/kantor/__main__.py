"""``python -m kantor``."""

import sys

from kantor.cli import main

sys.exit(main())
