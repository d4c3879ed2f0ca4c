"""What stands in for a pool of processes in tests of the runner."""

from concurrent.futures import Future


class InThisProcess:
    """Stands for the pool of processes."""

    def __init__(self, *_, initializer=None, initargs=()):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def shutdown(self, **_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future
