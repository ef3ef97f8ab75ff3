"""The climb: every rung built, measured and judged; the cheapest that meets the bar recommended.

Written by the integrator; signatures:

    def climb(prepared: Prepared, *, store: Store, models: Models, on_event: OnEvent = ignore,
              clock: Callable[[], float], options: ClimbOptions = ClimbOptions()) -> ClimbOutcome
"""
