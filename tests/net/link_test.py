"""The port's link goes down, comes back, and its interface is removed: iokerneld says so and goes on."""

from lib import APP_ADDRESS, check, equal, milliseconds_until, run_test, start_server

DOWN = "the link of af_xdp:sluice0 is down"
UP = "the link of af_xdp:sluice0 is up again"


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon)
    steps = (
        (rig.server, ("set", "sluice0", "down"), DOWN),
        (rig.server, ("set", "sluice0", "up"), UP),
        (rig.client, ("set", "client0", "down"), DOWN),
        (rig.client, ("set", "client0", "up"), UP),
        (rig.server, ("del", "sluice0"), DOWN),
    )
    for namespace, command, line in steps:
        before = daemon.log().count(line)
        namespace.run("ip", "link", *command)
        took = milliseconds_until(lambda: daemon.log().count(line) > before, 20)
        print(f"{' '.join(command)}: told after {took:.0f} ms")
        if line == UP:
            output = rig.client.run("ping", "-n", "-c", "5", "-i", "0.2", "-W", "2", APP_ADDRESS, check=False)
            check(" 0 received" not in output, f"no packet after the link came back: {output}")
    check(daemon.alive(), "iokerneld ended")
    equal(rig.stat(daemon)["port"]["link_up"], False, "the port's link")
    equal(rig.drop(daemon), 0, "iokerneld's exit status")


run_test(test)
