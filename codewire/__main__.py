"""`python -m codewire`: the same program as `cw`."""

import sys

from cw import main

sys.exit(main())
