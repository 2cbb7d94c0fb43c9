"""Takes known amounts of memory of each kind and tells, as JSON, what it took. Ends with its standard input."""
import ctypes
import json
import mmap
import os
import re
import sys
import tempfile
import threading

MIB = 1 << 20


def arenas():
    """Arenas of pymalloc in use, by the interpreter itself."""
    with tempfile.TemporaryFile() as f:
        old = os.dup(2)
        os.dup2(f.fileno(), 2)
        sys._debugmallocstats()
        sys.stderr.flush()
        os.dup2(old, 2)
        f.seek(0)
        text = f.read().decode()
    return int(re.search(r"([\d,]+) arenas \* ([\d,]+) bytes/arena", text).group(1).replace(",", "")), int(
        re.search(r"([\d,]+) arenas \* ([\d,]+) bytes/arena", text).group(2).replace(",", ""))


objects = [bytes(100) for _ in range(300_000)]  # pymalloc: about 40 MiB
small = [bytearray(2000) for _ in range(10_000)]  # malloc, main arena: 20 MB
large = [bytearray(b"x") * (4 * MIB) for _ in range(8)]  # malloc, one mapping each: 32 MiB
shared = mmap.mmap(-1, 16 * MIB)  # shared anonymous: 16 MiB
shared.write(b"x" * 16 * MIB)
path = tempfile.NamedTemporaryFile(dir="/var/tmp")
path.write(b"x" * 8 * MIB)
path.flush()
mapped = mmap.mmap(path.fileno(), 8 * MIB, prot=mmap.PROT_READ)
sum(mapped[i] for i in range(0, 8 * MIB, 4096))
done = threading.Event()
ready = threading.Event()


def thread():
    taken = [bytearray(2000) for _ in range(10_000)]  # malloc, an arena of the thread: 20 MB
    ready.set()
    done.wait()
    del taken


worker = threading.Thread(target=thread)
worker.start()
ready.wait()
count, size = arenas()
print(json.dumps({"arenas": count * size, "arena": size, "version": sys.version.split()[0]}), flush=True)
sys.stdin.read()
done.set()
