"""sandbox.py - private network namespaces, and processes in them that die with us.

A namespace is unnamed: nothing but a file descriptor of this process holds it, so it vanishes with its interfaces
when this process ends, however it ends. Every child gets SIGKILL when this process dies. Only the standard library.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


class Stopped(Exception):
    """A signal asks us to stop; `status` is the exit status it calls for."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def stop_on_signals():
    """From now on SIGINT, SIGTERM and SIGHUP raise Stopped in the main thread."""

    def handler(number, _frame):
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)  # the clean-up is not interrupted again
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _call(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


class Namespace:
    """A network namespace of our own, with its loopback up and no way out."""

    def __init__(self, name):
        self.name = name
        ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call(_libc.unshare(CLONE_NEWNET), "a network namespace (it needs root)")
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _call(_libc.setns(ours, CLONE_NEWNET), "back to our namespace")
            os.close(ours)
        self.run("ip", "link", "set", "lo", "up")

    def close(self):
        os.close(self.fd)

    def popen(self, *command, cpus=None, **options):
        return spawn(*command, namespace=self, cpus=cpus, **options)

    def run(self, *command, check=True, timeout=30, **options):
        """Runs a short command to its end; its output is returned, and shown if it fails."""
        child = self.popen(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        try:
            output, _ = child.communicate(timeout=timeout)
        except BaseException:
            kill(child.pid)
            child.wait()
            raise
        if check and child.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {child.returncode}: {output.strip()}")
        return output

    @contextlib.contextmanager
    def entered(self):
        """This process is in the namespace meanwhile; sockets made here stay in it. Main thread only."""
        ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call(_libc.setns(self.fd, CLONE_NEWNET), f"into the namespace {self.name}")
            yield
        finally:
            _call(_libc.setns(ours, CLONE_NEWNET), "back to our namespace")
            os.close(ours)

    def udp_socket(self, timeout_s=1.0):
        with self.entered():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(timeout_s)
        return made

    def raw_socket(self, interface):
        """Sends whole Ethernet frames through one interface."""
        with self.entered():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            made.bind((interface, 0))
        return made

    def sysctl(self, **settings):
        """Settings such as net_ipv4_ip_forward=0, for this namespace alone."""
        script = "".join(f"echo {value} > /proc/sys/{key.replace('__', '/')}\n" for key, value in settings.items())
        self.run("sh", "-e", "-c", script)


def spawn(*command, namespace=None, cpus=None, **options):
    """A child that is killed when we die; optionally in a namespace and on some CPUs."""
    parent = os.getpid()
    affinity = set(cpus) if cpus is not None else None

    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # we died before the line above
            os._exit(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if namespace is not None and _libc.setns(namespace.fd, CLONE_NEWNET) != 0:
            os._exit(126)
        if affinity is not None:
            os.sched_setaffinity(0, affinity)

    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("text", True)
    options.setdefault("start_new_session", True)
    return subprocess.Popen([str(word) for word in command], preexec_fn=prepare, **options)


def kill(pid):
    """SIGKILL, now: a thread dies only when it gets a CPU, and one of SCHED_IDLE on a busy CPU may wait long for it."""
    try:
        os.kill(pid, signal.SIGKILL)
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))
    except (ProcessLookupError, FileNotFoundError, PermissionError):
        pass  # dead, or it has to wait after all


def stop(child, grace_s=0.5):
    """TERM, and KILL if that was not enough. Returns the exit status."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            kill(child.pid)
            child.wait()
    return child.returncode


class Service:
    """A program that runs beside us; its output goes to a file and can be waited for."""

    def __init__(self, log_path, *command, killable=False, **options):
        self.killable = killable  # has nothing to tidy up
        self.command = [str(word) for word in command]
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.child = spawn(*command, stdout=log, stderr=subprocess.STDOUT, **options)

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def alive(self):
        return self.child.poll() is None

    def wait_for(self, text, timeout_s=20):
        """Until `text` is in the log. Raises if the program ends first or the time is over."""
        deadline = time.monotonic() + timeout_s
        while text not in self.log():
            if not self.alive() and text not in self.log():
                raise RuntimeError(f"{self.command[0]} ended with {self.child.returncode}:\n{self.log().strip()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.command[0]}: no '{text}' within {timeout_s} s:\n{self.log().strip()}")
            time.sleep(0.005)

    def wait(self, timeout_s):
        return self.child.wait(timeout_s)

    def kill(self, number=signal.SIGKILL):
        self.child.send_signal(number)

    def stop(self, grace_s=0.5):
        return stop(self.child, grace_s)


class Sandbox:
    """Everything that one run starts. `with Sandbox(dir) as box:` ends it all on the way out.

    Becomes the reaper of orphaned descendants, so that what a child leaves behind is ended, too.
    """

    def __init__(self, directory):
        self.directory = directory
        self.services = []
        self.namespaces = []

    def __enter__(self):
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_):
        for service in self.services:
            if service.alive():
                if service.killable:
                    kill(service.pid)
                else:
                    service.child.terminate()
        deadline = time.monotonic() + 0.5
        while any(service.alive() for service in self.services) and time.monotonic() < deadline:
            time.sleep(0.005)
        for service in self.services:
            if service.alive():
                kill(service.pid)
            service.child.wait()
        for namespace in self.namespaces:
            namespace.close()
        self._reap_orphans()
        return False

    @staticmethod
    def _reap_orphans():
        for pid in children_of(os.getpid()):
            kill(pid)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def namespace(self, name):
        namespace = Namespace(name)
        self.namespaces.append(namespace)
        return namespace

    def service(self, name, *command, **options):
        """Starts a program that runs beside us; its log is NAME.log in the directory."""
        service = Service(os.path.join(self.directory, f"{name}.log"), *command, **options)
        self.services.append(service)
        return service

    def path(self, name):
        return os.path.join(self.directory, name)


def children_of(pid):
    """The processes whose parent is `pid`, those waiting to be reaped excepted."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                state, parent = stat.read().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry))
    return found


def connect(one, one_interface, other, other_interface):
    """A veth between two namespaces, both ends up. Created inside, so the machine's own namespace never sees it."""
    path = f"/proc/{os.getpid()}/fd/{other.fd}"
    one.run("ip", "link", "add", one_interface, "type", "veth", "peer", "name", other_interface, "netns", path)
    one.run("ip", "link", "set", one_interface, "up")
    other.run("ip", "link", "set", other_interface, "up")


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def wait_until(condition, timeout_s, what):
    """Polls `condition` until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)


def log(text):
    print(text, file=sys.stderr, flush=True)
