"""rig.py - the machine of our experiments: a server's and a client's namespace, iokerneld between them.

    client namespace                          server namespace
    Linux process, 10.0.0.9, 10.64.0.0/10 --- veth --- iokerneld --- app 10.0.0.2

iokerneld's end of the veth has no address: it is iokerneld's alone. Where AF_XDP does not work, iokerneld makes a
TAP in its namespace and the client runs there, too.
"""

import contextlib
import os

from sandbox import connect, log, read_json

IOKERNEL_ADDRESS = "10.0.0.1/24"
APP_ADDRESS = "10.0.0.2"
CLIENT_ADDRESS = "10.0.0.9"
FLOW_NETWORK = "10.64.0.0/10"
SERVER_INTERFACE = "sluice0"
CLIENT_INTERFACE = "client0"


class Placement:
    """Who sits on which CPU, for the CPUs that we may use.

    `beside_loop`: the client shares iokerneld's CPU. `slots`: core slots on the CPU of the apps, if they have only one.
    """

    def __init__(self, cpus=None, beside_loop=False, slots=4):
        self.cpus = sorted(cpus if cpus is not None else os.sched_getaffinity(0))
        if len(self.cpus) < 2:
            raise RuntimeError("this needs two CPUs: iokerneld's loop takes one of its own")
        self.loop = self.cpus[0]
        self.client = [self.loop if beside_loop else self.cpus[-1]]
        if len(self.cpus) >= 4:
            self.apps = self.cpus[1:-1]
            self.cores = ",".join(map(str, self.apps))
            self.slots = len(self.apps)
            self.oversubscribed = False
        else:
            self.apps = [self.cpus[1]]
            self.cores = f"{self.apps[0]}*{slots}" if slots > 1 else str(self.apps[0])
            self.slots = slots
            self.oversubscribed = True

    def sentence(self):
        if not self.oversubscribed:
            return f"iokerneld's loop on CPU {self.loop}, apps on {self.cores}, the client on CPU {self.client[0]}"
        shared = "with the client" if self.client == self.apps else f"the client on CPU {self.client[0]}"
        return (
            f"iokerneld's loop on CPU {self.loop}; core slots on CPU {self.apps[0]}: {self.slots}, {shared}: "
            "the figures show that it works and rank no policies"
        )

    def json(self):
        return {"iokerneld_loop": [self.loop], "apps": self.apps, "client": self.client, "kept_awake": self.awake()}

    def awake(self):
        """CPUs that a SCHED_IDLE loop keeps from halting: a halted virtual CPU takes 50 us to come back."""
        return sorted(set(self.apps + self.client))


class Rig:
    def __init__(self, box, bin_dir, placement, tap=False):
        self.box = box
        self.bin = bin_dir
        self.placement = placement
        self.tap = tap
        self.count = 0
        self.server = box.namespace("server")
        self.client = self.server if tap else box.namespace("client")
        if not tap:
            connect(self.server, SERVER_INTERFACE, self.client, CLIENT_INTERFACE)
            # Neither router solicitations nor other chatter of Linux's on iokerneld's interface.
            self.server.run("ip", "link", "set", SERVER_INTERFACE, "addrgenmode", "none")
            self._prepare_client(CLIENT_INTERFACE)

    @property
    def port(self):
        return f"tap:{SERVER_INTERFACE}" if self.tap else f"af_xdp:{SERVER_INTERFACE}"

    def program(self, name):
        return os.path.join(self.bin, name)

    def _prepare_client(self, interface):
        # Linux leaves UDP checksums to the "hardware", which here nobody is.
        self.client.run("ethtool", "-K", interface, "tx", "off")
        self.client.run("ip", "link", "set", interface, "addrgenmode", "none")
        self.client.run("ip", "address", "add", f"{CLIENT_ADDRESS}/24", "dev", interface)
        self.client.run("ip", "route", "replace", "local", FLOW_NETWORK, "dev", "lo")
        self.client.sysctl(
            net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__default__rp_filter=0, net__ipv4__icmp_ratelimit=0
        )

    def keep_awake(self):
        """Keeps the CPUs of the measurement from halting, at the lowest priority there is."""
        for cpu in self.placement.awake():
            loop = ("chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
            service = self.box.service(f"awake{cpu}", *loop, cpus=[cpu], killable=True)
            # Where the kernel shares a CPU out by session, a session gets its part whatever is in it: this one, the least.
            with contextlib.suppress(OSError), open(f"/proc/{service.pid}/autogroup", "w", encoding="ascii") as group:
                group.write("19")

    def start_iokerneld(self, *flags, name="iokerneld", timeout_s=30, run_dir=None, port=None):
        """A new iokerneld, ready for apps; its run directory is in `.run_dir`."""
        self.count += 1
        run_dir = run_dir or self.box.path(f"run{self.count}")
        command = [self.program("iokerneld"), "--port", port or self.port, "--run-dir", run_dir]
        command += ["--address", IOKERNEL_ADDRESS, "--route", f"{FLOW_NETWORK} via {CLIENT_ADDRESS}"]
        command += ["--cpu", self.placement.loop, "--cores", self.placement.cores]
        daemon = self.box.service(f"{name}{self.count}", *command, *flags, namespace=self.server)
        daemon.run_dir = run_dir
        daemon.wait_for("ready", timeout_s)
        if self.tap:
            self._prepare_client(SERVER_INTERFACE)
        return daemon

    def start_app(self, daemon, program, *arguments, name=None, wait_for=None, timeout_s=20):
        self.count += 1
        options = ["--transport", "sluice", "--sluice-run-dir", daemon.run_dir]
        words = [self.program(program), *arguments[:1], *options, *arguments[1:]]
        app = self.box.service(f"{name or program}{self.count}", *words, namespace=self.server)
        if wait_for:
            app.wait_for(wait_for, timeout_s)
        return app

    def run_client(self, program, *arguments, timeout_s):
        """A Linux client to its end; its JSON result."""
        return _run_client(self, program, arguments, timeout_s)

    def run_memif_client(self, socket, *arguments, timeout_s):
        """netperf's client behind the memif at `socket`, to its end; its JSON result."""
        self.count += 1
        path = self.box.path(f"memif-result{self.count}.json")
        words = [self.program("memif_netperf"), "--socket", socket, "--json", path, *arguments]
        self.client.run(*words, timeout=timeout_s, cpus=self.placement.client)
        return read_json(path)

    def client_command(self, program, *arguments):
        """For a client that runs in the background: the file of its result, and the command."""
        return _client_command(self, program, arguments)

    def stat(self, daemon):
        """What `sluicectl stat --json` says."""
        self.count += 1
        path = self.box.path(f"stat{self.count}.json")
        with open(path, "w", encoding="utf-8") as out:
            child = self.server.popen(
                self.program("sluicectl"), "--run-dir", daemon.run_dir, "stat", "--json", stdout=out
            )
            if child.wait(10) != 0:
                raise RuntimeError(f"sluicectl stat ended with {child.returncode}")
        return read_json(path)

    def drop(self, service):
        """Ends one service. A clean end of ours is status 0."""
        return _drop(self.box, service)


class LinuxRig:
    """The baseline: the same programs on Linux sockets over the same kind of veth.

    The server has the CPUs that iokerneld and the apps have otherwise, less the client's.
    """

    def __init__(self, box, bin_dir, placement):
        self.box = box
        self.bin = bin_dir
        self.placement = placement
        self.count = 0
        self.server_cpus = sorted({placement.loop, *placement.apps} - set(placement.client))
        self.server = box.namespace("linux-server")
        self.client = box.namespace("linux-client")
        connect(self.server, SERVER_INTERFACE, self.client, CLIENT_INTERFACE)
        self.server.run("ip", "address", "add", f"{APP_ADDRESS}/24", "dev", SERVER_INTERFACE)
        self.server.run("ip", "route", "add", FLOW_NETWORK, "via", CLIENT_ADDRESS)
        self.client.run("ip", "address", "add", f"{CLIENT_ADDRESS}/24", "dev", CLIENT_INTERFACE)
        self.client.run("ip", "route", "add", "local", FLOW_NETWORK, "dev", "lo")

    def start_server(self, program, *arguments, wait_for="serving", cpus=None):
        self.count += 1
        words = [os.path.join(self.bin, program), "server", "--transport", "linux", *arguments]
        server = self.box.service(
            f"linux-{program}{self.count}", *words, namespace=self.server, cpus=cpus or self.server_cpus
        )
        server.wait_for(wait_for)
        return server

    def run_client(self, program, *arguments, timeout_s):
        return _run_client(self, program, arguments, timeout_s)

    def drop(self, service):
        return _drop(self.box, service)


def _client_command(rig, program, arguments):
    """The file of its result, and the words."""
    rig.count += 1
    path = rig.box.path(f"{type(rig).__name__}-result{rig.count}.json")
    return path, [os.path.join(rig.bin, program), "client", "--transport", "linux", "--json", path, *arguments]


def _run_client(rig, program, arguments, timeout_s):
    path, words = _client_command(rig, program, arguments)
    rig.client.run(*words, timeout=timeout_s, cpus=rig.placement.client)
    return read_json(path)


def _drop(box, service):
    status = service.stop(grace_s=3)
    box.services.remove(service)
    return status


def make_rig(box, bin_dir, placement):
    """A rig on AF_XDP, or on a TAP if that does not work here, which is said."""
    rig = Rig(box, bin_dir, placement)
    try:
        daemon = rig.start_iokerneld()
    except RuntimeError as error:
        log(f"AF_XDP does not work here, falling back to a TAP. iokerneld says:\n{error}")
        rig = Rig(box, bin_dir, placement, tap=True)
        daemon = rig.start_iokerneld()
    rig.drop(daemon)
    return rig
