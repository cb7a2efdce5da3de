"""Several threads that make a request at the same moment."""

import threading


def at_once(ask, times=8):
    """What ``ask`` returns in each of so many threads, which all begin it together."""
    start, found = threading.Barrier(times), []

    def run():
        start.wait(30)
        found.append(ask())

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == times, "one of them failed or hangs"
    return found
