"""A contestant that counts, or fails."""

from benchmarks.speed.serving import serve


def count(*, start):
    number = start

    def run():
        nonlocal number
        number += 1
        print("what libraries print is no answer")
        if number > 5:
            raise ValueError("too many")

    return run


if __name__ == "__main__":
    serve({"count": count})
