"""Finance (财务): the account page today; closing the books and vouchers have their place here.

Face: the pages under /finance/. Reads through the ledger's functions and fact views, moves money only by calling
ledger.funding and ledger.adjustments, the same functions as the REST doors.
Invariants: money moves only after a rehearsal of the same code was shown and the account number was typed; another
organisation's account is not there.
"""
