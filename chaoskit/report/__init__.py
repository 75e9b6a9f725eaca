"""Views of a run: its verdict and its plan on a terminal, its page, its JUnit file, the live lines while it is played.

Every view is made from the history and the verdict alone, so that a stored run can be shown again. `text` has the
forms of figures, `written` leaves verdict, checklist and page beside a history.
"""
