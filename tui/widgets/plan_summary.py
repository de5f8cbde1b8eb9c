"""The model and the request that a plan answers, and the recommended layout in one line."""

from __future__ import annotations

from rich.text import Text

from cluster.catalog.model_spec import ModelSpec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.planner.fixes.text import describe_options
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.units import count_of, format_bytes, format_count
from tui.format import throughput_band
from tui.glyphs import ARROW, CROSS, DOT
from tui.styles import Styles
from tui.widgets.text_panel import TextPanel
from tui.workload import options_set


class PlanSummary(TextPanel):
    """What was asked: the model and the workload."""

    def __init__(self, waiting: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._engine: EngineInUse | None = None
        self._waiting, self._assumed_stopped = waiting, ""
        self._moved = 0

    def show(
        self,
        plan: Plan | None,
        waiting: str = "",
        assumed_stopped: str = "",
        engine: EngineInUse | None = None,
    ) -> None:
        """Show a plan, or why there is none.

        `assumed_stopped` names deployments it assumes are stopped; `engine` would run it, None where nothing
        can be deployed.
        """
        self._plan, self._waiting, self._assumed_stopped = plan, waiting, assumed_stopped
        self._engine = engine
        self._moved = 0
        self.changed()

    def show_moved(self, gpus: int) -> None:
        """Mark the plan as old: the free memory of some GPUs has changed."""
        if gpus != self._moved:
            self._moved = gpus
            self.changed()

    def draw(self, styles: Styles) -> Text:
        plan = self._plan
        if plan is None:
            return Text(self._waiting, styles.muted)
        text = Text()
        text.append(plan.model.name, styles.title)
        if self._assumed_stopped:
            text.append(f"  assuming {self._assumed_stopped} is stopped", styles.warning)
        if self._moved:
            moved = count_of(self._moved, "GPU")
            text.append(f"  free memory changed on {moved} (r to replan)", styles.warning)
        engine = engine_line(plan, self._engine) if plan.request.workload == "inference" else ""
        if not self.roomy:
            # The line is cut where it is too long: what was set by hand, and what runs, come before sizes.
            text.no_wrap, text.overflow = True, "ellipsis"
            settings = describe_settings(plan.request)
            text.append(f"  {settings}" if settings else "", styles.accent)
            parts = (engine, describe_model(plan.model), describe_load(plan))
            text.append("".join(f"  {part}" for part in parts if part), styles.muted)
            return text
        text.append(f"  {describe_model(plan.model)}\n", styles.muted)
        text.append(f" {DOT} ".join(filter(None, (describe_request(plan), engine))), styles.muted)
        return text


def engine_line(plan: Plan, engine: EngineInUse | None) -> str:
    """Say which engine a plan is for and which runs it: 'for vllm 0.14.0, runs on builtin 0.1.0'."""
    planned = f"for {plan.engine_name} {plan.engine_version}"
    if engine is None:
        return planned
    return f"for {engine.runs}" if engine.is_as_planned else f"{planned}, runs on {engine.runs}"


def answer_line(plan: Plan, styles: Styles) -> Text:
    """Draw the recommendation: 'Recommended → TP=4, DP=2  1,930 tok/s (1,500–2,400)'."""
    best = plan.recommended
    if best is None:
        line = Text(f"{CROSS} Nothing fits", styles.bad)
        if plan.advice:
            line.append(f"  {plan.advice[0]}", styles.plain)
        return line
    line = Text(f"{ARROW} ", styles.good)
    line.append(best.label, styles.strong)
    if best.estimate is not None:
        line.append(f"  {throughput_band(best.estimate.throughput_tokens_per_s)}", styles.plain)
    return line


def describe_model(model: ModelSpec) -> str:
    """Describe a model's size: '70.6 B, bf16, 131.4 GiB'."""
    parts = [format_count(model.parameters) if model.parameters else ""]
    if model.active_parameters and model.active_parameters < model.parameters * 0.95:
        parts.append(f"{format_count(model.active_parameters)} active")
    parts.append(model.quantization.method if model.quantization else model.dtype)
    parts.append(format_bytes(model.weights_bytes) if model.weights_bytes else "")
    return ", ".join(part for part in parts if part)


def describe_request(plan: Plan) -> str:
    """Describe what was planned for: '1,024 tokens in, 512 out · as many requests as fit · ...'."""
    return f" {DOT} ".join(filter(None, (describe_load(plan), describe_settings(plan.request))))


def describe_load(plan: Plan) -> str:
    """Describe the workload that was planned for."""
    request, lengths = plan.request, plan.lengths
    if request.workload == "training":
        return "training"
    many = (
        "as many requests as fit"
        if request.concurrency is None
        else f"{count_of(request.concurrency, 'concurrent request')}"
    )
    tokens = f"{lengths.input_tokens:,} tokens in, {lengths.output_tokens:,} out"
    return f" {DOT} ".join((tokens, many, f"optimize {request.objective}"))


def describe_settings(request: PlanRequest) -> str:
    """Describe what was set by hand: 'max length 4,096 · --kv-cache-dtype fp8 · pinned TP=4', or ''."""
    length = f"max length {request.max_model_len:,}" if request.max_model_len else ""
    pins = " ".join(f"{axis.upper()}={degree}" for axis, degree in request.pins.items())
    options = describe_options(options_set(request))
    return f" {DOT} ".join(filter(None, (length, options, f"pinned {pins}" if pins else "")))
