"""sluicectl doctor on a veth: checksums of a peer that it sees, and of one in another namespace, whatever its index."""

import json
import subprocess

from lib import check, equal, run_test


def checksums(rig, interface):
    words = [rig.program("sluicectl"), "--json", "doctor", "--port", f"af_xdp:{interface}"]
    child = rig.server.popen(*words, stdout=subprocess.PIPE)
    output, _ = child.communicate(timeout=20)
    (finding,) = [f for f in json.loads(output)["findings"] if f["what"] == f"checksums towards {interface}"]
    print(finding)
    return finding


def test(rig):
    # In fresh namespaces both ends have the same index.
    indices = [namespace.run("ip", "-o", "link", "show", name).split(":")[0] for namespace, name in ((rig.server, "sluice0"), (rig.client, "client0"))]
    equal(indices[0], indices[1], "the indices of the two ends")
    there = checksums(rig, "sluice0")
    equal(there["verdict"], "warn", "a peer in another namespace")
    check("another namespace" in there["found"] and "in the peer's namespace" in there["mend"], f"got {there}")

    rig.server.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    here = checksums(rig, "near")
    equal((here["verdict"], here["mend"]), ("warn", "ethtool -K far tx off"), "a peer here, with its checksums undone")
    rig.server.run(*here["mend"].split())
    equal(checksums(rig, "near")["verdict"], "pass", "once that was mended")


run_test(test)
