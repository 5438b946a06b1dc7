"""What is done regularly goes on after a mistake, and ends when it is told to."""

import threading

from web.server.periodic import regularly


def test_it_goes_on_after_a_mistake_and_ends_when_told(caplog):
    done, twice = [], threading.Event()

    def work():
        done.append(threading.current_thread())
        if len(done) == 1:
            raise OSError("once")
        twice.set()

    stop = regularly(work, 0.01, "try")
    assert twice.wait(30)
    stop()
    done[0].join(30)
    assert not done[0].is_alive()
    assert "try failed." in caplog.text
