"""The words of a notice: which notices a configuration sends, and in which form a person reads them."""
