"""What a server's process is set up with."""

import socket
import sys

import pytest

from segany.memory import keep_memory
from segany.serve import ServeSettings
from segany.serve.run import _listening


def test_answers_are_sent_without_delay() -> None:
    """Asyncio sets TCP_NODELAY only on sockets that say that they are TCP: without it each answer took 40 ms more."""
    with _listening(ServeSettings(port=0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.proto == socket.IPPROTO_TCP
                client.sendall(b"x")
                assert accepted.recv(1) == b"x"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no sockets for both kinds of addresses")
def test_every_address_is_of_both_kinds() -> None:
    with _listening(ServeSettings(host="::", port=0)) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port)):
                accepted, _ = listening.accept()
                accepted.close()


def test_memory_is_set_up_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_memory()


def test_embeddings_in_memory_are_as_many_as_the_machine_allows() -> None:
    assert 8 <= ServeSettings().hot_images <= 64
