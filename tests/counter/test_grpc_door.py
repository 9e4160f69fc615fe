"""The gRPC door of a real process: statuses and metadata, keys, TLS, limits, bad input."""

import datetime
import ipaddress
from datetime import UTC, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing_platform import clock
from billing_platform.models import Scope
from counter import client
from counter.errors import Invalid
from counter.models import ServiceRecord
from counter.parsing import parse_instant, parse_use
from counter.uses import CallFacts, PayerAsked, ServiceUse, UseRequest
from tests import cast
from tests.counter.told import money, refusal_of, transfers_of_uses
from tests.counter.wire import connected, refusal, wire
from tests.processes import running_counter

pytestmark = pytest.mark.usefixtures("committed_books")
READ, USE, ADMIN = Scope.COUNTER_READ.value, Scope.COUNTER_USE.value, Scope.COUNTER_ADMIN.value


@pytest.fixture
def acme(committed_books):
    account = cast.acme()
    cast.make_item("sms", price="0.05", opened_for=(account,))
    return account


def end_request(account, providerno, **more):
    now = clock.now()
    given = {"start_time": (now - timedelta(seconds=30)).isoformat(), "finish_time": now.isoformat()} | more
    return wire.EndServiceRequest(accno=account.accno, label="sms", providerno=providerno, **given)


def test_refusals_carry_status_reason_code_and_retryable(acme, tmp_path):
    beta, gamma = cast.beta(), cast.gamma()
    cast.make_item("closed", price="0.05")
    cast.make_item("dear", price="500.00", opened_for=(acme,))
    with running_counter(tmp_path) as process, connected(process.ready["address"]) as stub:

        def started(account, label, providerno, **more):
            return refusal(
                stub.StartService,
                wire.StartServiceRequest(accno=account.accno, label=label, providerno=providerno, **more),
            )

        unknown = refusal(stub.QueryAccount, wire.QueryAccountRequest(userid="nobody"))
        assert unknown.told == ("NOT_FOUND", "account_not_bound", "702", "false")
        assert started(acme, "nothing", "x").told == ("NOT_FOUND", "service_unknown", "708", "false")
        assert started(acme, "closed", "x").told == ("FAILED_PRECONDITION", "service_not_open", "704", "false")
        assert started(gamma, "sms", "x").told == ("FAILED_PRECONDITION", "account_suspended", "705", "false")
        assert started(acme, "dear", "d1").told == ("RESOURCE_EXHAUSTED", "insufficient_balance", "706", "false")
        assert started(acme, "dear", "d2", usable=True).told[:2] == ("RESOURCE_EXHAUSTED", "insufficient_balance")
        assert started(acme, "sms", "").told == ("INVALID_ARGUMENT", "validation", "712", "false")

        request = end_request(acme, "m1")
        stub.EndService(request)
        assert stub.EndService(request).duplicate
        conflict = refusal(stub.EndService, end_request(acme, "m1", count=2))
        assert conflict.told == ("ALREADY_EXISTS", "idempotency_conflict", "709", "false")
        assert "start_time" in conflict.details
        closed = started(acme, "sms", "m1")
        assert (closed.told[1], closed.facts["x-state"]) == ("reference_closed", "ended")
        in_band = stub.QueryAccountService(wire.QueryAccountServiceRequest(accno="C99999999", label="sms"))
        assert (in_band.code, in_band.reason) == (701, "account_not_found")
        assert stub.QueryAccountService(wire.QueryAccountServiceRequest(accno=acme.accno, label="sms")).code == 0
        poor = stub.UsableService(wire.UsableServiceRequest(accno=beta.accno, label="sms"))
        assert (poor.usable, poor.code, poor.reason) == (False, 704, "service_not_open")

    assert (money(acme), len(transfers_of_uses())) == (("99.95", "0"), 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start_time", "2026-03-02T10:00:00"), ("finish_time", "2026-02-30T10:00:00Z"), ("start_time", "yesterday"),
        ("finish_time", "1999-12-31T10:00:00Z"), ("finish_time", "2026-03-02T10:00:00.1234567Z"),
        ("label", "x" * 65), ("label", ""), ("providerno", "号" * 43), ("accno", "C1\n"), ("organization", "a\x00b"),
        ("count", -1), ("count", -(2**31)), ("count", 2**31 - 1), ("rate_policy", "cheapest"), ("svcno", "1" * 33),
    ],
)  # fmt: skip
def test_malformed_values_are_refused_by_name(field, value):
    given = {"accno": "C00000001", "label": "sms", "providerno": "p"} | {field: value}

    with pytest.raises(Invalid) as refused:
        parse_use(wire.EndServiceRequest(**given))

    assert list(refused.value.fields["fields"]) == [field]


def test_what_is_odd_but_allowed_passes():
    use = parse_use(
        wire.EndServiceRequest(
            accno="C00000001", label="短信\u3000" * 2, providerno="p" * 128, summary="s" * 600,
            start_time="2026-03-02T18:00:00.123456+08:00", call=wire.CallFacts(called="02160001234"),
        )
    )  # fmt: skip

    assert (len(use.summary), use.count, use.finish) == (512, 1, None)
    assert use.start == datetime.datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC)
    assert use.call == CallFacts(called="02160001234", answered=True)


def test_naive_times_pass_only_where_the_settings_say_so(settings):
    settings.COUNTER_NAIVE_TIMES = "utc"

    assert parse_instant("2026-03-02 10:00:00", "start_time") == datetime.datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_bytes_that_are_no_message_and_too_much_of_it_write_nothing(acme, tmp_path):
    with running_counter(tmp_path) as process, grpc.insecure_channel(process.ready["address"]) as channel:
        end = channel.unary_unary("/counter.CounterService/EndService")
        good = end_request(acme, "m1").SerializeToString()

        for raw in (good[:-3], b"\xff" * 10, b"\x0a\x02\xff\xfe" + good, b"\x5b" * 200):
            assert refusal(end, raw).told == ("INVALID_ARGUMENT", "validation", "712", "false")
        assert refusal(end, good + b"\x42" + b"x" * (5 << 20)).status == "RESOURCE_EXHAUSTED"
        batch = channel.unary_unary("/counter.CounterService/EndServices")
        assert refusal(batch, b"").told[:2] == ("INVALID_ARGUMENT", "validation")
        many = wire.EndServicesRequest(items=[wire.EndServiceRequest()] * 1001)
        assert refusal(batch, many.SerializeToString()).told[:2] == ("INVALID_ARGUMENT", "validation")
        create = channel.unary_unary("/counter.CounterService/CreateAccount")
        odd = wire.CreateAccountRequest(owner="1", name="One", kind=7).SerializeToString()
        assert refusal(create, odd).told[:2] == ("INVALID_ARGUMENT", "validation")
        assert refusal(channel.unary_unary("/counter.CounterService/Nothing"), b"").status == "UNIMPLEMENTED"
        reflect = channel.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        assert refusal(reflect, b"").status == "UNIMPLEMENTED"

    assert (money(acme), ServiceRecord.objects.count()) == (("100", "0"), 0)


def test_a_batch_over_the_wire_keeps_order_and_answers_each(acme, tmp_path):
    with running_counter(tmp_path) as process, connected(process.ready["address"]) as stub:
        items = [end_request(acme, f"m{n}") for n in range(1000)]
        items[3] = end_request(acme, "bad", start_time="2026-03-02T10:00:00")
        answer = stub.EndServices(wire.EndServicesRequest(items=items))

    assert [outcome.index for outcome in answer.outcomes] == list(range(1000))
    assert [outcome.index for outcome in answer.outcomes if outcome.status] == [3]
    bad = answer.outcomes[3]
    assert (bad.status, bad.code, bad.reason, bad.retryable) == (3, 712, "validation", False)
    assert answer.outcomes[4].response.cost_exact == "0.05"
    assert money(acme) == ("50.05", "0")


def test_our_client_reads_every_answer(acme, tmp_path):
    cast.make_item("voice", "by_deck", opened_for=(acme,))
    cast.make_deck("flat", ",0.12,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    now = clock.now()
    facts = CallFacts(called="02160001234", call_type="callback")
    with running_counter(tmp_path):
        account = client.query_account(organization="acme", at=now)
        assert (account.accno, str(account.available), account.valid_from) == (acme.accno, "100", cast.LONG_AGO)
        assert client.paying_account("acme", "voice", at=now) == acme.accno
        asked = [PayerAsked("acme", "voice", now), PayerAsked("nobody", "voice", now), PayerAsked("acme", "", now)]
        assert [getattr(one, "code", one) for one in client.paying_accounts(asked)] == [
            acme.accno, "account_not_bound", "validation",
        ]  # fmt: skip
        assert client.usable_service(acme.accno, "voice").usable
        assert client.query_account_service("C99999999", "voice").code == 701
        quote = client.quote(UseRequest(acme.accno, "voice", call=facts, max_seconds=120))
        assert (str(quote.price), str(quote.hold), quote.max_seconds, quote.lines[0].number) == (
            "0.12", "0.24", 120, "862160001234",
        )  # fmt: skip
        started = client.start_service(UseRequest(acme.accno, "voice", "c1", call=facts, max_seconds=120))
        assert (str(started.hold), started.charged_legs) == ("0.24", "b")
        assert str(client.cancel_service(acme.accno, "voice", providerno="c1").released) == "0.24"
        receipt = client.end_service(
            ServiceUse(acme.accno, "voice", "c1", now - timedelta(seconds=61), now, call=facts)
        )
        assert (str(receipt.cost), receipt.warnings, receipt.account_state) == ("0.24", ("after_cancel",), "active")
        assert client.ready_part().ok
        same = UseRequest(acme.accno, "voice", "c1", call=facts, max_seconds=120)
        assert refusal_of(client.start_service, same).fields["state"] == "ended"
        with pytest.raises(ValueError, match="has an end"):
            client.end_service(ServiceUse(acme.accno, "voice", "c9", now))


def test_keys_scopes_and_organisations(acme, tmp_path):
    echo = cast.echo()
    admin, reader = cast.make_key("acme", READ, USE, ADMIN), cast.make_key("acme", READ)
    user = cast.make_key("acme", USE)
    query = wire.QueryAccountRequest(organizationid="acme")
    with (
        running_counter(tmp_path, env={"COUNTER_LOOPBACK_AUTH": "required"}) as process,
        connected(process.ready["address"]) as stub,
    ):
        assert refusal(stub.QueryAccount, query).told == ("UNAUTHENTICATED", "unauthenticated", "713", "false")
        for wrong in ("x", "x.y", f"{reader.partition('.')[0]}.wrong", reader + "x"):
            assert refusal(stub.QueryAccount, query, metadata=[("apikey", wrong)]).told[1] == "unauthenticated"

        def asked(call, request, key):
            return refusal(call, request, metadata=[("apikey", key)])

        assert stub.QueryAccount(query, metadata=[("authorization", f"Bearer {reader}")]).accno == acme.accno
        request = end_request(acme, "m1")
        assert asked(stub.EndService, request, reader).told == ("PERMISSION_DENIED", "forbidden", "714", "false")
        assert stub.EndService(request, metadata=[("apikey", user)]).cost_exact == "0.05"
        fixed = end_request(acme, "m1", correction="t1")
        assert asked(stub.EndService, fixed, user).told[1] == "forbidden"
        mixed = stub.EndServices(
            wire.EndServicesRequest(items=[fixed, end_request(acme, "m2"), end_request(echo, "m3")]),
            metadata=[("apikey", user)],
        )
        assert [outcome.reason for outcome in mixed.outcomes] == ["forbidden", "", "account_not_found"]
        assert stub.EndService(fixed, metadata=[("apikey", admin)]).warnings == ["corrected"]
        forged = [("apikey", admin), ("organization", "echo"), ("x-organization", "echo")]
        assert refusal(stub.EndService, end_request(echo, "m4"), metadata=forged).told[1] == "account_not_found"
        foreign = wire.QueryAccountRequest(organizationid="echo")
        assert asked(stub.QueryAccount, foreign, admin).told[1] == "account_not_bound"
        new = wire.CreateAccountRequest(owner="9", name="Nine")
        assert asked(stub.CreateAccount, new, user).told[1] == "forbidden"
        assert stub.CreateAccount(new, metadata=[("apikey", admin)]).accno.startswith("P")

    assert (money(acme), money(echo)) == (("99.9", "0"), ("100", "0"))


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-made certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "counter")])
    now = clock.now()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_tls_with_our_own_client_and_with_client_certificates(acme, tmp_path, settings):
    certificate, key = make_certificate(tmp_path)
    env = {
        "COUNTER_TLS_CERT": str(certificate), "COUNTER_TLS_KEY": str(key), "COUNTER_TLS_CLIENT_CA": "",
    }  # fmt: skip
    settings.COUNTER_TLS_CA = str(certificate)
    with running_counter(tmp_path, env=env) as process:
        assert client.usable_service(acme.accno, "sms").usable
        with connected(process.ready["address"]) as plain:
            assert refusal(plain.QueryAccount, wire.QueryAccountRequest(userid="1")).status == "UNAVAILABLE"

    with running_counter(tmp_path, env=env | {"COUNTER_TLS_CLIENT_CA": str(certificate)}) as process:
        pair = key.read_bytes(), certificate.read_bytes()
        query = wire.QueryAccountRequest(organizationid="acme")
        with connected(process.ready["address"], grpc.ssl_channel_credentials(certificate.read_bytes())) as stranger:
            assert refusal(stranger.QueryAccount, query).status == "UNAVAILABLE"
        known = grpc.ssl_channel_credentials(certificate.read_bytes(), *pair)
        with connected(process.ready["address"], known) as stub:
            assert stub.QueryAccount(query).accno == acme.accno
