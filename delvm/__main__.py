"""`python -m delvm`."""

import sys

from delvm.command import main

sys.exit(main())
