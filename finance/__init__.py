"""Finance (财务): the accounts' pages today; closing the books and vouchers have their place here.

Face: the pages under /finance/; alerts.tell_alerts, which turns the events about accounts into notices. Reads through
the functions and fact views of the rooms below, moves money, limits and states only by calling the ledger's functions,
the same as the REST doors and the command.
Invariants: nothing is done before a rehearsal of the same code was shown and the account number was typed; another
organisation's account is not there.
"""
