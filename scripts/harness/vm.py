# SPDX-License-Identifier: GPL-2.0-only
"""One boot of the guest: jobs in, what became of each out.

The guest has three serial ports, see harness/arch.py:

  ttyS0  the kernel's console, into LOGDIR/console.log (arm64: ttyAMA0)
  ttyS1  what the jobs print; each job's part stands between two marker lines,
         "\\002NONCE begin JOB" and "\\002NONCE end JOB"; as it comes, a job's part
         goes into LOGDIR/NAME.out
  ttyS2  the control protocol, lines of text:

         guest                     harness
         ready                                       init is up
         begin JOB
         end JOB STATUS
         qmp REQUEST [ARGUMENT]    ok ANSWER         see tests/vm/vmctl
                                   error REASON
         leak                                        the leak scan begins
         done TAINT                                  all jobs ran
                                   bye               all that they printed was read;
                                                     powers off

The kernel log carries "vm: NONCE begin JOB" and "... end JOB STATUS" lines too, so
that each of its lines belongs to a job or to the time before or after.

A job that outlives its time limit is killed by the guest. When the guest dies, or
is silent past its limit, QEMU is killed and the job that ran has no status. QEMU
never outlives this process, however it ends.
"""
import contextlib
import functools
import json
import re
import secrets
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import topology as topologies
from .arch import ARCH
from .cpio import Cpio
from .paths import ROOT

BOOT_LIMIT = {"plain": 180}
SLOW_BOOT_LIMIT = 420	# other kernels
LEAK_LIMIT = 600
GRACE = 20
SILENCE = 10	# seconds after which nothing that the jobs printed is on the way
STOP = threading.Event()	# set: end all guests, now
# QEMU 10.0 has a race of its own between two CPUs' threads when a BAR appears or
# vanishes: this assertion, seen once in some hundred boots. It says nothing about
# the guest, so the boot is made again, and said to be.
OWN_FAULT = "iotlb_to_section: Assertion"
QUIET = "slub_debug=- kmemleak=off"
# One thread for both CPUs: with a thread each, QEMU 10.0 now and then loses an
# interrupt or dies when memory is remapped under a running CPU. Two guests at a
# time use two cores all the same.
CPUS = ["-accel", "tcg,thread=single", "-smp", "2"]
# One instruction takes one nanosecond of the guest's time, and idling none of ours.
ICOUNT = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"]


@dataclass
class Job:
    """What to run, and then what became of it."""

    name: str
    argv: list
    timeout: int
    files: dict = field(default_factory=dict)	# {path in the guest: (content, mode)}
    status: int | None = None
    output: bytes = b""
    log: list = field(default_factory=list)	# the kernel log while it ran
    seconds: float = 0
    began: bool = False


@dataclass
class Boot:
    """How the boot as a whole went."""

    death: str = ""		# why the guest ended early
    hung: bool = False		# it had to be killed
    taint: int = 0
    log: list = field(default_factory=list)	# kernel log outside of any job
    leaks: str = ""


@functools.cache
def busybox():
    """The guest's; fetched if it has to be."""
    run = subprocess.run([ROOT / "scripts/guest-busybox"], stdout=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, text=True, check=False)
    if run.returncode:
        raise SystemExit("error: there is no busybox for the guest")
    return Path(run.stdout.strip())


def initramfs(kernel, jobs, flavour, topology, path):
    """Busybox, the kernel's modules, the tools of tests/vm and the jobs."""
    cpio = Cpio()
    cpio.file("bin/busybox", busybox().read_bytes())
    applets = subprocess.check_output(["/bin/busybox", "--list"], text=True).split()
    for applet in applets:
        if applet != "busybox":
            cpio.symlink(f"bin/{applet}", "busybox")
    for name in ("dev", "proc", "sys", "tmp", "root", "mnt", "run"):
        cpio.directory(name)
    cpio.file("init", (ROOT / "tests/vm/init").read_bytes())
    cpio.file("bin/vmctl", (ROOT / "tests/vm/vmctl").read_bytes())
    for library in sorted((ROOT / "tests/lib").glob("*.sh")):
        cpio.file(f"lib/{library.name}", library.read_bytes(), 0o644)
    if (Path(kernel) / "modules/lib/modules").is_dir():
        cpio.tree("lib/modules", Path(kernel) / "modules/lib/modules")
    for number, job in enumerate(jobs):
        env = f"export FLAVOUR={flavour} TOPOLOGY={topology} VM_TIMEOUT={job.timeout}\n"
        cpio.file(f"jobs/{number:03}/env", env.encode(), 0o644)
        cpio.file(f"jobs/{number:03}/cmd", f"exec {shlex.join(job.argv)}\n".encode(), 0o644)
        for name, (content, mode) in job.files.items():
            if name.strip("/") not in cpio.names:
                cpio.file(name.strip("/"), content, mode)
    cpio.write(path)


class Control:
    """The harness's end of QMP: what a guest may ask for, and the answers."""

    def __init__(self, sock, devices, reply):
        self.sock, self.devices, self.reply = sock, devices, reply
        self.deleted = set()
        self.waiting = {}	# device: when to give up
        self.pending = []	# what to do with each answer to come
        self.buffer = b""
        self._send("qmp_capabilities", lambda _: None)

    def _send(self, command, then, **arguments):
        self.pending.append(then)
        request = {"execute": command, "arguments": arguments}
        self.sock.sendall(json.dumps(request).encode() + b"\n")

    def _answer(self, message):
        if "error" in message:
            self.reply("error " + message["error"]["desc"])
        elif isinstance(message["return"], str) and message["return"].strip():
            self.reply("error " + " ".join(message["return"].split()))
        else:
            self.reply("ok " + (json.dumps(message["return"]) if message["return"] else ""))

    def request(self, words):
        """One line from the guest. Everything it may ask for stands here."""
        match words:
            case ["query_pci"]:
                self._send("query-pci", self._answer)
            case ["device_del" | "device_del_nowait" | "wait_deleted" | "device_add", device, *_] \
                    if device not in self.devices:
                self.reply(f"error no device {device} in this topology")
            case ["device_del_nowait", device]:
                self.deleted.discard(device)
                self._send("device_del", self._answer, id=device)
            case ["device_del", device]:
                self.deleted.discard(device)
                self._send("device_del", lambda m: self._answer(m) if "error" in m
                           else self._wait(device, 60), id=device)
            case ["wait_deleted", device, *seconds]:
                self._wait(device, int(seconds[0]) if seconds else 60)
            case ["device_add", device]:
                *before, last = self.devices[device]
                for line in before:
                    self._send("human-monitor-command", lambda _: None, **{"command-line": line})
                self._send("human-monitor-command", self._answer, **{"command-line": last})
            case _:
                self.reply("error not allowed: " + " ".join(words))

    def _wait(self, device, seconds):
        if device in self.deleted:
            self.reply("ok")
        else:
            self.waiting[device] = time.monotonic() + seconds

    def tick(self):
        for device, limit in list(self.waiting.items()):
            if time.monotonic() > limit:
                del self.waiting[device]
                self.reply(f"error {device} is still there")

    def receive(self, data):
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "return" in message or "error" in message:
                self.pending.pop(0)(message)
            elif message.get("event") == "DEVICE_DELETED":
                device = message["data"].get("device")
                self.deleted.add(device)
                if self.waiting.pop(device, None):
                    self.reply("ok")


class Output:
    """Takes ttyS1 apart: which bytes belong to which job."""

    def __init__(self, nonce, emit):
        self.marker = re.compile(rb"\n\x02" + nonce.encode() + rb" (begin|end) (\w+)\n")
        self.emit = emit
        self.buffer = b""
        self.current = None
        self.ended = set()

    def receive(self, data):
        self.buffer += data
        while match := self.marker.search(self.buffer):
            self._pass(self.buffer[:match.start()])
            self.buffer = self.buffer[match.end():]
            self.current = match[2].decode() if match[1] == b"begin" else None
            if self.current is None:
                self.ended.add(match[2].decode())
        # What may be the start of a marker is kept back.
        keep = self.buffer.rfind(b"\n\x02")
        if keep < 0:
            keep = len(self.buffer) - self.buffer.endswith(b"\n")
        self._pass(self.buffer[:keep])
        self.buffer = self.buffer[keep:]

    def flush(self):
        self._pass(self.buffer)
        self.buffer = b""

    def _pass(self, data):
        if data and self.current is not None:
            self.emit(self.current, data)


def complaint(text):
    """Of what QEMU said, why it ended. Below that there may be advice, above it warnings."""
    lines = text.splitlines()
    own = [line for line in lines if line.startswith(f"{ARCH.qemu}: ") and ": warning: " not in line]
    return (own[:1] or lines[-1:] or ["nothing"])[0]


class Guest:
    """QEMU, from its start to its end."""

    def __init__(self, kernel, jobs, *, flavour="plain", topology="root", memory="2G",
                 params="", leak=False, icount=False, plugin=None, root=None, logdir=None,
                 stream=None, began=None):
        self.kernel, self.jobs, self.flavour, self.leak = Path(kernel), jobs, flavour, leak
        self.topology, self.memory, self.params = topology, memory, params
        self.cpus, self.root = ICOUNT if icount else CPUS, root
        self.plugin = ["-plugin", plugin] if plugin else []
        self.logdir = Path(logdir).resolve()
        self.stream, self.began = stream, began
        self.nonce = secrets.token_hex(6)
        self.boot = Boot()
        self.qemu_log = self.logdir / "qemu.log"

    def run(self):
        """Boot, and once more if QEMU itself broke."""
        self.logdir.mkdir(parents=True, exist_ok=True)
        for again in (True, True, False):
            self._once()
            if not again or self.qemu.returncode != -signal.SIGABRT or \
                    OWN_FAULT not in self.qemu_log.read_text(errors="replace"):
                return self.boot
            print(f"note: QEMU failed its own assertion, see {self.qemu_log}.old: once more",
                  file=sys.stderr, flush=True)
            self.qemu_log.rename(f"{self.qemu_log}.old")
            self.boot = Boot()
            for job in self.jobs:
                job.status, job.output, job.log, job.began = None, b"", [], False

    def _once(self):
        with tempfile.TemporaryDirectory(prefix="dma-buf-phys-") as tmp:
            try:
                self._start(Path(tmp))
                self._loop()
            finally:
                self._reap()
        self._read_log()
        for job in self.jobs:
            if job.began and job.status is None:
                job.seconds = time.monotonic() - job.seconds

    def _start(self, tmp):
        initramfs(self.kernel, self.jobs, self.flavour, self.topology, tmp / "initramfs")
        with open(tmp / "disk.raw", "wb") as disk:
            disk.truncate(64 << 20)
        for name in ("console.log", *(f"{job.name}.out" for job in self.jobs)):
            (self.logdir / name).write_bytes(b"")
        arguments, devices = topologies.load(self.topology, tmp)
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        self.sockets = dict(zip(("output", "control", "qmp"), ours))
        fds = [sock.fileno() for sock in theirs]
        append = (f"{ARCH.append} oops=panic panic=-1 printk.devkmsg=on vm.nonce={self.nonce} "
                  f"{'vm.leak=1 kmemleak=on' if self.leak else QUIET} "
                  f"{'vm.root=/dev/vda' if self.root else ''} {self.params}")
        command = [
            "setpriv", "--pdeathsig", "KILL", ARCH.qemu, *ARCH.machine.split(), *self.cpus,
            *self.plugin,
            "-m", self.memory, "-nodefaults", "-no-reboot", "-display", "none",
            "-kernel", self.kernel / Path(ARCH.image).name,
            "-initrd", tmp / "initramfs", "-append", append,
            "-chardev", f"file,id=console,path={self.logdir}/console.log",
            "-chardev", f"socket,id=output,fd={fds[0]}",
            "-chardev", f"socket,id=control,fd={fds[1]}",
            "-chardev", f"socket,id=qmp,fd={fds[2]}",
            *ARCH.ports.split(), "-mon", "chardev=qmp,mode=control",
            *arguments, *self._root_disk()]
        with open(self.qemu_log, "wb") as log:
            log.write((shlex.join(map(str, command)) + "\n").encode())
            log.flush()
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, pass_fds=fds, cwd=tmp)
        for sock in theirs:
            sock.close()
        self.output = Output(self.nonce, self._emit)
        self.control = Control(self.sockets["qmp"], devices, self._reply)
        self.lines = b""
        self.current = None
        self.ended = set()
        self.done = False
        self._limit(self._boot_limit(), "the guest did not boot")

    def _boot_limit(self):
        return BOOT_LIMIT.get(self.flavour, SLOW_BOOT_LIMIT) * (3 if self.leak else 1)

    def _root_disk(self):
        """The root of a distribution, at an address where it moves no other device."""
        if not self.root:
            return []
        return ["-drive", f"if=none,id=root,file={self.root}/root.img,format=raw,readonly=on",
                "-device", "virtio-blk-pci,drive=root,bus=pcie.0,addr=0x18"]

    def _limit(self, seconds, reason):
        self.deadline, self.reason = time.monotonic() + seconds, reason

    def _emit(self, number, data):
        if number == "leak":
            self.boot.leaks += data.decode(errors="replace")
            return
        job = self.jobs[int(number)]
        job.output += data
        with open(self.logdir / f"{job.name}.out", "ab") as out:
            out.write(data)
        if self.stream:
            self.stream(data)

    def _reply(self, text):
        self.sockets["control"].sendall(text.encode() + b"\n")

    def _loop(self):
        with selectors.DefaultSelector() as selector:
            for name, sock in self.sockets.items():
                selector.register(sock, selectors.EVENT_READ, name)
            while selector.get_map():
                for ready, _ in selector.select(1):
                    try:
                        data = ready.fileobj.recv(65536)
                    except ConnectionResetError:
                        data = b""
                    if not data:
                        selector.unregister(ready.fileobj)
                    else:
                        getattr(self, "_on_" + ready.data)(data)
                if STOP.is_set():
                    raise SystemExit("stopped")
                self.control.tick()
                self._bye()
                if time.monotonic() > self.deadline:
                    self.boot.death, self.boot.hung = self.reason, True
                    self.qemu.kill()
                    break
        self.output.flush()
        self.qemu.wait(timeout=60)
        if not self.done and not self.boot.death:
            self.boot.death = "the guest died"
            if self.qemu.returncode:
                _, _, said = self.qemu_log.read_text(errors="replace").partition("\n")
                self.boot.death = (f"QEMU ended with status {self.qemu.returncode}, see "
                                   f"{self.qemu_log}: {complaint(said)}")

    def _on_output(self, data):
        self.heard = time.monotonic()
        self.output.receive(data)

    def _bye(self):
        """The guest may go when nothing that its jobs printed is on the way any more.

        If the mark at the end of a job was lost or garbled, it never comes.
        """
        if self.done and (self.ended == self.output.ended or
                          time.monotonic() - self.heard > SILENCE):
            with contextlib.suppress(OSError):
                self._reply("bye")

    def _on_qmp(self, data):
        self.control.receive(data)

    def _on_control(self, data):
        *lines, self.lines = (self.lines + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace").split())

    def _line(self, words):
        if words[:1] == ["end"]:
            self.ended.update(words[1:2])
        match words:
            case ["ready"]:
                self._limit(self._boot_limit(), "the guest did not begin")
            case ["begin", number] if number.isdigit():
                self.current = self.jobs[int(number)]
                self.current.began = True
                self.current.seconds = time.monotonic()
                if self.began:
                    self.began(self.current)
                self._limit(self.current.timeout + GRACE, "the guest hung")
            case ["end", number, status] if number.isdigit():
                job = self.jobs[int(number)]
                job.status, job.seconds = int(status), time.monotonic() - job.seconds
                self._limit(GRACE * 2, "the guest hung between two jobs")
            case ["qmp", *request]:
                try:
                    self.control.request(request)
                except BrokenPipeError:
                    self._reply("error QEMU is going away")
            case ["leak"]:
                self._limit(LEAK_LIMIT, "the leak scan did not end")
            case ["done", taint]:
                self.done, self.boot.taint = True, int(taint)
                self.heard = time.monotonic()
                self._limit(GRACE * 2, "the guest did not power off")

    def _reap(self):
        if hasattr(self, "qemu"):
            self.qemu.kill()
            self.qemu.wait()
        for sock in getattr(self, "sockets", {}).values():
            sock.close()

    def _read_log(self):
        """Hand out the kernel log: each line to the job that ran."""
        marker = re.compile(r"vm: " + self.nonce + r" (begin|end) (\w+)")
        into = self.boot.log
        for line in (self.logdir / "console.log").read_text(errors="replace").splitlines():
            if not (match := marker.search(line)):
                into.append(line)
            elif match[1] == "begin" and match[2].isdigit():
                into = self.jobs[int(match[2])].log
            else:
                into = self.boot.log


def end_on_signals():
    """End in the orderly way on any signal: QEMU and temporary files go, too."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def need_qemu():
    if not shutil.which(ARCH.qemu):
        raise SystemExit(f"error: no {ARCH.qemu}; scripts/setup installs it")
    busybox()
