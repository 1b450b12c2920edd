"""A UDP echo of every size from 1 byte to what fits the MTU, from a Linux socket."""

import os

from lib import APP_ADDRESS, equal, run_test

LARGEST = 1472


def test(rig):
    daemon = rig.start_iokerneld()
    echo = rig.box.service(
        "echo", rig.program("echo"), "--sluice-run-dir", daemon.run_dir, "--sluice-address", APP_ADDRESS,
        namespace=rig.server,
    )
    echo.wait_for(APP_ADDRESS)
    with rig.client.udp_socket(timeout_s=2) as client:
        client.connect((APP_ADDRESS, 7))
        client.send(b"are you there")  # the socket may be bound a moment after the app is attached
        try:
            client.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            pass
        for size in range(1, LARGEST + 1):
            payload = os.urandom(size)
            client.send(payload)
            equal(client.recv(2048), payload, f"echo of {size} bytes")
    print(f"1 to {LARGEST} bytes came back")


run_test(test)
