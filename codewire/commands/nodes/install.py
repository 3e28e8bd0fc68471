"""`cw node install`: have systemd start the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire import paths
from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context


def install(args: dict[str, Any], context: Context) -> int:
    """Have systemd start the node with the machine: write and enable a user service.

    It is started now unless a node runs already. What ran when the machine went down is offered by
    'cw list' and comes back with 'cw restore' (by itself with restore = "auto" in config.toml).

    Usage:
      cw node install [options]

    Options:
          --uninstall  Disable and remove the service; a node that runs stays
          --print      Only print the unit file

    Examples:
      cw node install
      cw node install --print
      cw node install --uninstall
    """
    from codewire.client.local.userunit import UserUnit

    unit = UserUnit(paths.data_dir())
    if args["--print"]:
        output.write(unit.text())
        return 0
    for text in unit.uninstall() if args["--uninstall"] else unit.install():
        output.notice(text)
    return 0
