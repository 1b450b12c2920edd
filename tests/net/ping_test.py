"""Linux's own ping, to an app and to iokerneld, with small and large packets."""

import re

from lib import APP_ADDRESS, check, run_test, start_server

COUNT = 20


def answered(output):
    return int(re.search(r"(\d+) received", output).group(1))


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon)
    for address in (APP_ADDRESS, "10.0.0.1"):
        for size in (0, 56, 1472):
            output = rig.client.run(
                "ping", "-n", "-c", COUNT, "-i", "0.01", "-W", "2", "-s", size, "-M", "do", address, check=False
            )
            check(answered(output) == COUNT, f"ping -s {size} {address}: {output}")
            print(address, size, output.strip().splitlines()[-1])
    output = rig.client.run("ping", "-n", "-c", "2", "-i", "0.01", "-W", "1", "10.0.0.77", check=False)
    check(answered(output) == 0, f"an address of nobody's answered: {output}")


run_test(test)
