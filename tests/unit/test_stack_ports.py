"""Free ports are free, different, out of the way of outgoing connections, and a taken one names its holder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from chaoskit.errors import BadInput, EquipmentError
from chaoskit.host import ports
from chaoskit.host.ports import check_free, ephemeral_range, reserve


def test_reserved_ports_are_different_free_and_outside_the_range_of_outgoing_connections() -> None:
    found = reserve(50)
    first, last = ephemeral_range()
    assert len(set(found)) == 50
    assert not [port for port in found if first <= port <= last]
    for port in found:
        check_free(port)


def test_where_all_ports_are_for_outgoing_connections_the_kernel_chooses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wide = tmp_path / "range"
    wide.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "_EPHEMERAL_FILE", wide)
    assert len(set(reserve(3))) == 3


def test_avoided_ports_are_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    free = reserve(2)
    monkeypatch.setattr(ports, "_LOWEST", free[0])
    monkeypatch.setattr(ports, "_HIGHEST", free[0] + 1)
    assert reserve(1, avoid=[free[1]]) == [free[0]]
    assert reserve(1, avoid=[free[0]]) != [free[0]]


def test_processes_side_by_side_are_given_different_ports_and_one_process_none_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though none of them has bound any yet: they were free for each of them."""
    found = []
    for pid in range(70_000, 70_030):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        monkeypatch.setattr(ports, "_given", set())
        found += [*reserve(6), *reserve(6)]
    assert len(set(found)) == len(found)


def test_too_few_free_ports_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_hold", lambda port, held: 0)
    with pytest.raises(EquipmentError, match=r"chaoskit needs 2 free ports on 127\.0\.0\.1, and found 0"):
        reserve(2)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_names_its_holder(host: str) -> None:
    with socket.socket() as server:
        server.bind((host, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(BadInput, match=rf"port {port} on 127\.0\.0\.1 is taken by .+ \(pid {os.getpid()}\)"):
            check_free(port)
    check_free(port)


def test_a_number_that_is_no_port_is_refused() -> None:
    with pytest.raises(BadInput, match="70000 is not a port"):
        check_free(70000)
