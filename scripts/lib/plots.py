"""plots.py - the figures of our experiments. matplotlib is loaded when it is needed only."""

PERCENTILES = (("p50_us", "p50"), ("p90_us", "p90"), ("p99_us", "p99"), ("p999_us", "p99.9"))


def _axes(title, host, **figure):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    canvas, axes = pyplot.subplots(figsize=(9, 5), **figure)
    canvas.suptitle(title)
    note = f"{host['cpus']} CPUs, {host['port']}, kernel {host['kernel']}"
    if host["oversubscribed"]:
        note += ", core slots share a CPU: no ranking"
    canvas.text(0.5, 0.005, note, ha="center", fontsize=7, color="grey")
    return canvas, axes


def _plain_log_scale(axis):
    from matplotlib import ticker

    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
    axis.yaxis.set_minor_formatter(ticker.StrMethodFormatter("{x:g}"))


def _save(canvas, path):
    from matplotlib import pyplot

    canvas.tight_layout(rect=(0, 0.02, 1, 1))
    canvas.savefig(path, dpi=120)
    pyplot.close(canvas)


def percentile_bars(path, runs, label, host):
    canvas, axes = _axes("Latency from the intended send time, by policy", host)
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        for slot, (name, _) in enumerate(PERCENTILES):
            x = slot + (i - (len(runs) - 1) / 2) * width
            if run[name] is None:
                where = axes.get_xaxis_transform()  # x as data, y as a share of the height
                axes.text(x, 0.02, "not given", rotation=90, ha="center", va="bottom", fontsize=7, transform=where)
            else:
                bar = axes.bar(x, run[name], width * 0.95, color=f"C{i}", label=label(run) if slot == 0 else None)
                axes.bar_label(bar, fmt="%.0f", fontsize=7)
    _plain_log_scale(axes)
    axes.set_xlim(-0.5, len(PERCENTILES) - 0.5)
    axes.set_ylim(bottom=min(run[name] for run in runs for name, _ in PERCENTILES if run[name]) / 2)
    axes.set_xticks(range(len(PERCENTILES)), [title for _, title in PERCENTILES])
    axes.set_ylabel("us")
    axes.legend()
    axes.grid(axis="y", alpha=0.3)
    _save(canvas, path)


def lines(path, title, x_label, series, host, y_label="us", log_y=True):
    """`series`: {panel: {name: [(x, y or None)]}}, one panel beside the other."""
    panels = list(series)
    canvas, axes = _axes(title, host, ncols=len(panels), squeeze=False)
    for panel, axis in zip(panels, axes[0]):
        for i, (name, points) in enumerate(series[panel].items()):
            kept = [(x, y) for x, y in points if y is not None]
            axis.plot([x for x, _ in kept], [y for _, y in kept], marker="o", color=f"C{i}", label=name)
        axis.set_title(panel)
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        if log_y:
            _plain_log_scale(axis)
        else:
            axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    _save(canvas, path)
