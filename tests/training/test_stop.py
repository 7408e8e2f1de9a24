"""Asked to stop, a training ends at its next step; asked twice, at once."""

import os
import signal
import threading

import pytest
import torch

from kantor.training.stop import StopSignal

CPU = torch.device("cpu")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_and_ends_nothing(number):
    with StopSignal() as stop:
        assert not stop.asked(CPU)
        os.kill(os.getpid(), number)
        assert stop.asked(CPU) and stop.asked(CPU)


def test_a_second_interrupt_ends_it_at_once_and_a_second_sigterm_does_not():
    with pytest.raises(KeyboardInterrupt), StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked(CPU)


def test_what_signals_did_before_they_do_again_also_after_an_error():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(ValueError, match="x"), StopSignal():
        assert signal.getsignal(signal.SIGTERM) not in before
        raise ValueError("x")
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_in_another_thread_signals_are_left_alone():
    """Python lets the main thread alone set them."""
    seen: list[object] = []

    def train() -> None:
        with StopSignal() as stop:
            seen.extend([stop.asked(CPU), signal.getsignal(signal.SIGTERM)])

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [False, before]


@pytest.mark.parametrize(("here", "elsewhere"), [(False, True), (True, False), (False, False)])
def test_of_several_processes_one_that_is_asked_stops_all(monkeypatch, here, elsewhere):
    monkeypatch.setattr("kantor.training.stop.world_size", lambda: 2)
    monkeypatch.setattr("kantor.training.stop.sum_over_ranks", lambda mine: mine + float(elsewhere))
    with StopSignal() as stop:
        if here:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked(CPU) is (here or elsewhere)
