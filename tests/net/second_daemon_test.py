"""A second iokerneld on the same run directory or the same port: exit 2, naming the pid of the first."""

from lib import check, equal, load, nothing_lost, run_test, start_server


def refused(rig, *flags):
    child = rig.server.popen(
        rig.program("iokerneld"), "--address", "10.0.0.1/24", *flags, stdout=-1, stderr=-2
    )
    output, _ = child.communicate(timeout=20)
    equal(child.returncode, 2, f"exit status with {flags}, which said:\n{output}")
    return output


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon)
    for flags in (
        ("--run-dir", daemon.run_dir, "--port", "null"),
        ("--run-dir", rig.box.path("elsewhere"), "--port", rig.port),
    ):
        output = refused(rig, *flags)
        check(str(daemon.pid) in output, f"the pid {daemon.pid} is not named: {output}")
        print(output.strip())
    output = refused(rig, "--run-dir", rig.box.path("elsewhere"))
    check("af_xdp" in output and "tap" in output, f"without a port the choices are not listed: {output}")
    nothing_lost(rig, daemon, load(rig, rate=2000, seconds=1), "the first one, meanwhile")


run_test(test)
