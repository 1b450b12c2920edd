"""700 000 flows from one gateway's network, of which some thousands are met: flow-affinity loses none."""

from lib import app_stat, check, load, nothing_lost, run_test, start_server


def test(rig):
    daemon = rig.start_iokerneld("--steering", "flow-affinity")
    start_server(rig, daemon)
    result = load(rig, rate=10_000, seconds=3, flows=700_000)
    print({k: result[k] for k in ("sent", "lost", "out_of_order", "packets_core_changed")})
    nothing_lost(rig, daemon, result, "flow-affinity")
    stat = app_stat(rig, daemon, "synthetic")
    check(stat["table_bytes"] > 0, f"flow-affinity has no table: {stat['table_bytes']}")


run_test(test)
