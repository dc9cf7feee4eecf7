# SPDX-License-Identifier: GPL-2.0-only
"""Programs for the guest: kernels, the root of a distribution, C sources, kernel selftests."""
import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

from . import meta
from .arch import ARCH
from .paths import BUILD, LOGS, ROOT

CFLAGS = ["-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter",
          "-Wno-sign-compare", "-Wno-missing-field-initializers", "-D_GNU_SOURCE="]


class Failed(Exception):
    """Something could not be built; the text says why."""


def _script(name, *arguments):
    """Run a script that prints a directory, and says itself why it has none."""
    run = subprocess.run([ROOT / name, *arguments], stdout=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, text=True, check=False)
    return run.returncode, Path(run.stdout.splitlines()[-1] if run.stdout else "")


def ask(name, *arguments):
    """The directory that a script prints. Where it fails, we end as it did."""
    status, directory = _script(name, *arguments)
    if status:
        raise SystemExit(status)
    return directory


def _made(otherwise, name, *arguments):
    """The same, for whom can go on without it."""
    status, directory = _script(name, *arguments)
    if status:
        raise Failed(otherwise)
    return directory


def kernel(flavour):
    """The directory of the built kernel. KERNEL_OUT= names one that exists."""
    if forced := os.environ.get("KERNEL_OUT"):
        return Path(forced).resolve()
    return _made(f"the {flavour} kernel was not built", "scripts/kernel-build", flavour)


def root_of(about):
    """The root that a test runs in; with libraries that are static it needs none."""
    return "" if about["libs"] and not ARCH.distribution else about["root"]


def guest_root(name):
    """The directory of that root (root.img, perhaps sdk/), or nothing for no root."""
    if name not in meta.ROOTS:
        raise Failed(f"there is no root '{name}'")
    if not name:
        return None
    if not ARCH.distribution:
        raise Failed(f"there is no root '{name}' for {ARCH.name}")
    return _made(f"the guest's root '{name}' was not made", meta.ROOTS[name])


def _source(out):
    """The kernel source that belongs to a build."""
    for name in ("source", "../tree"):
        if (out / name).is_dir():
            return (out / name).resolve()
    return ask("scripts/kernel-fetch") / "pristine"


def _includes(source_file, out):
    ours, source = ROOT / "tests/lib", _source(out)
    beside = [f"-I{path}" for path in [source_file.parent / "lib"] if path.is_dir()]
    return [*beside, f"-I{ours}", f"-I{source}/tools/testing/selftests",
            f"-I{source}/tools/include/uapi"
            if not (out / "usr/include").is_dir() else f"-I{out}/usr/include"]


# Batches run in threads, and two of them may want the same program.
_COMPILING = threading.Lock()


def compile_c(source, out):
    """A C file, with all of tests/lib, as a static program. Kept by content.

    One that has libs is linked dynamically, for the root that has them. A
    directory lib beside the file is a library for it, too.
    """
    with _COMPILING:
        return _compile_c(source, out)


def _sysroot():
    """Flags for the compiler: where the guest's libraries are."""
    if ARCH.distribution:
        sdk = guest_root(meta.ROOT_OF_LIBS) / "sdk"
    else:
        sdk = _made(f"there are no libraries for {ARCH.name}", "scripts/guest-sdk")
    return [f"--sysroot={sdk}", f"-B{sdk}/usr/lib/{ARCH.triplet}"]


def _linking(libs, shared):
    """Flags for the compiler, flags for the end of the linker's command."""
    if not libs:
        return ["-static"], ["-lpthread"]
    if not ARCH.distribution:
        return ([*_sysroot(), "-static", "-DRDMA_STATIC_PROVIDERS=rxe"],
                ["-Wl,--start-group", *(f"-l{name}" for name in libs), "-lrxe", "-lnl-route-3",
                 "-lnl-3", "-Wl,--end-group"])
    kind = ["-shared", "-fPIC"] if shared else []
    if "drm" in libs:
        kind.append("-I=/usr/include/libdrm")
    return ([*_sysroot(), *kind],
            [*(f"-l{name}" for name in libs), "-Wl,--unresolved-symbols=ignore-in-shared-libs"])


def _compile_c(source, out):
    about = meta.read(source)
    libs = about["libs"]
    where = (ROOT / "tests/lib", source.parent / "lib")
    libraries = [path for directory in where for path in sorted(directory.glob("*.c"))
                 if set(meta.read(path)["libs"]) <= set(libs)]
    headers = [path for directory in where for path in sorted(directory.glob("*.h"))]
    how, last = _linking(libs, about["shared"] == "yes")
    flags = CFLAGS + how + _includes(source, out)
    digest = hashlib.sha256(repr((flags, last)).encode())
    for path in (source, *libraries, *headers, *sorted(source.parent.glob("*.h"))):
        digest.update(path.read_bytes())
    name = f"{ARCH.cross}{source.stem}-{digest.hexdigest()[:12]}"
    program = BUILD / "programs" / name
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        # One archive, so that a program takes only what it uses.
        objects, new = Path(f"{program}.d.{os.getpid()}"), Path(f"{program}.{os.getpid()}")
        compiler = ARCH.cross + "gcc"
        objects.mkdir()
        try:
            for library in libraries:
                _run([compiler, *flags, "-c", library, "-o", objects / f"{library.stem}.o"])
            archive = []
            if libraries:
                archive = [objects / "lib.a"]
                _run([ARCH.cross + "ar", "rcs", *archive, *sorted(objects.glob("*.o"))])
            _run([compiler, *flags, source, *archive, "-o", new, *last])
        finally:
            shutil.rmtree(objects)
        new.rename(program)
    return program


def plugin(name):
    """A plugin for QEMU. Kept by content."""
    source, header = (ROOT / "scripts/harness" / f"{name}.{kind}" for kind in "ch")
    digest = hashlib.sha256(source.read_bytes() + header.read_bytes()).hexdigest()[:12]
    library = BUILD / "programs" / f"{name}-{digest}.so"
    with _COMPILING:
        if not library.exists():
            library.parent.mkdir(parents=True, exist_ok=True)
            new = Path(f"{library}.{os.getpid()}")
            _run(["gcc", *CFLAGS, "-shared", "-fPIC", "-fvisibility=hidden", source, "-o", new])
            new.rename(library)
    return library


def selftest(name, out):
    """A program of tools/testing/selftests ("iommu/iommufd"), by its own Makefile; or a script."""
    script = _source(out) / "tools/testing/selftests" / name
    if script.is_file():
        return script
    program = out / "selftests" / name
    if program.exists():
        return program
    directory, _, base = name.rpartition("/")
    source = Path("tools/testing/selftests", directory)
    if not directory or not any((top / source).is_dir() for top in (_source(out), ROOT)):
        raise Failed(f"there is no kernel selftest '{name}'")
    entry = _source(out).parent
    other = []
    if ARCH.cross:
        other = [*ARCH.make_args.split(), f"CC={' '.join([ARCH.cross + 'gcc', *_sysroot()])}"]
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(entry / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run([ROOT / "scripts/kernel-sync", "lay", entry])
        target = out / "selftests" / directory
        target.mkdir(parents=True, exist_ok=True)
        _run(["make", "-C", entry / "tree" / source, f"OUTPUT={target}",
              f"KHDR_INCLUDES=-isystem {out}/usr/include", "LDFLAGS=-static", *other, f"{target}/{base}"])
    return program


def existing(path):
    """A program named by the user or a test."""
    if not Path(path).is_file():
        raise Failed(f"{path}: no such program")
    return Path(path)


def executable(path, out):
    """What to put into the guest for it."""
    path = existing(path)
    return compile_c(path, out) if path.suffix == ".c" else path


def needed(name, out):
    """What a test has in /needs for a name in its metadata: {path in the guest: path here}."""
    if name == "packages":
        return _packages()
    path = ROOT / name
    if path.is_dir() and not ARCH.distribution:
        raise Failed(f"{name} uses libraries, and there are none for {ARCH.name}")
    if path.is_dir():
        return _command(path)
    return {f"needs/{path.name.removesuffix('.c')}": executable(path, out)}


def _command(source):
    """A command that has a Makefile, with the libraries of this machine, for any root."""
    built = BUILD / "tools" / source.name
    with _COMPILING:
        _run(["make", "-C", source, f"O={built}"])
    program = built / source.name
    listed = subprocess.check_output(["ldd", program], text=True)
    found = {Path(word).name: Path(word) for word in listed.split() if word.startswith("/")}
    loader = next(name for name in found if name.startswith("ld-"))
    start = built / "start"
    start.write_text(f"#!/bin/sh\nexec /needs/lib/{loader} --library-path /needs/lib "
                     f'/needs/lib/{source.name} "$@"\n', encoding="utf-8")
    return {f"needs/{source.name}": start, f"needs/lib/{source.name}": program,
            **{f"needs/lib/{name}": path for name, path in found.items()}}


def _packages():
    """What "make install" installs, with the tests' kernel, for the root with RDMA."""
    directory, root = BUILD / "packages-guest", guest_root(meta.ROOT_OF_LIBS)
    with _COMPILING:
        _run(["env", "FLAVOUR=plain", f"PROVIDER={next((root / 'provider').iterdir())}",
              ROOT / "scripts/package", directory])
    return {f"needs/packages/{path.name}": path for path in directory.glob("*.deb")}


def _run(command):
    clean = {name: value for name, value in os.environ.items()
             if name not in ("ARCH", "DEBUG", "V", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    run = subprocess.run(command, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if run.returncode:
        raise Failed(f"{' '.join(map(str, command[:1]))} failed:\n{run.stdout}")
