"""Every operator, by the part that it changes: importing this imports each module here, which fills the registry."""

from __future__ import annotations

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
