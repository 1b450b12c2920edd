"""Two apps at once, each with its own address and load; then one switches to the other through iokerneld."""

from lib import APP_ADDRESS, PORT, BackgroundLoad, equal, load, nothing_lost, read_json, run_test, start_server

OTHER = "10.0.0.3"


def test(rig):
    daemon = rig.start_iokerneld()
    start_server(rig, daemon, name="one")
    start_server(rig, daemon, name="two", address=OTHER)
    second = BackgroundLoad(rig, address=OTHER, rate=3000, seconds=3, flows=50, source_port=30000)
    first = load(rig, rate=3000, seconds=3)
    for name, result in (("one", first), ("two", second.result())):
        nothing_lost(rig, daemon, result, name)

    # An app as the client: its packets never leave the machine.
    before = rig.stat(daemon)["loop"]["counters"]["local_packets"]
    result_path = rig.box.path("local.json")
    client = rig.start_app(
        daemon,
        "synthetic",
        *("client", "--name", "three", "--target", f"{APP_ADDRESS}:{PORT}"),
        *("--rate", "2000", "--flows", "8", "--seconds", "2", "--warmup", "0.5", "--json", result_path),
        name="local-client",
    )
    equal(client.wait(30), 0, "the local client's exit status")
    result = read_json(result_path)
    nothing_lost(rig, daemon, result, "between two apps")
    switched = rig.stat(daemon)["loop"]["counters"]["local_packets"] - before
    equal(switched >= 2 * result["sent"], True, f"{switched} packets switched for {result['sent']} requests")
    print(f"local: {result['sent']} requests, p50 {result['p50_us']} us", result["why"])


run_test(test)
