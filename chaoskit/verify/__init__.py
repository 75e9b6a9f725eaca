"""The verifier: from a history to a verdict, a pure function of the file.

    history + plan -> Case                 evidence in order, each expected instance with the instants it counts from
    CHECKS         -> Strict               rows judged strictly, each with what it rests on (`check`, `checks`)
    excuse         -> Row                  UNKNOWN where that was not given (`excuses`): one pass, one place
    judge_all      -> Verdict, Checklist   what is owed and has no row is UNKNOWN; worst wins

    verdict = verify(read_history(Path("runs/latest")))
    [row.reason for row in verdict.rows if row.hop is Hop.NOTIFY and row.result is Result.FAIL]

Nothing here acts, sleeps, or reads a clock.
"""
