"""The wire never changes: every number, name and type of the public contract, as generated."""

import pytest
from google.protobuf.descriptor import FieldDescriptor

from protos import counter_pb2 as wire

OLD = """
CreateAccountRequest owner:1:string kind:2:enum name:3:string
AccountResponse id:1:string accno:2:string name:3:string balance:4:float credit:5:float warning:6:float state:7:string kind:8:enum
QueryAccountRequest userid:1:string applicationid:2:string organizationid:3:string
UsableServiceRequest accno:1:string label:2:string count:3:int32 check_quota:4:bool
UsableServiceResponse usable:1:bool
StartServiceRequest accno:1:string label:2:string start_time:3:string count:4:int32 providerno:5:string summary:6:string application:7:string organization:8:string expire:9:string usable:10:bool check_quota:11:bool
StartServiceResponse svcno:1:string expire:2:string
EndServiceRequest accno:1:string svcno:2:string label:3:string start_time:4:string finish_time:5:string count:6:int32 providerno:7:string summary:8:string application:9:string organization:10:string
EndServiceResponse svcno:1:string start_time:2:string finish_time:3:string count:4:float cost:5:float
ResourceRequest accno:1:string label:2:string count:3:int32 total:4:int32
ResourceResponse usage:1:int32 limits:2:int32
KeepServiceRequest accno:1:string label:2:string providerno:3:string expire:4:string
KeepServiceResponse expire:1:string svcno:2:string
QueryAccountServiceRequest accno:1:string label:2:string
QueryAccountServiceResponse code:1:int32 detail:2:string
QuerySubAccountRequest parent:1:string label:2:string
QuerySubAccountResponse accounts:1:string
"""  # noqa: E501  a table
OLD_CALLS = (
    "CreateAccount", "QueryAccount", "UsableService", "StartService", "EndService", "IncreaseResource",
    "ReduceResource", "KeepService", "QueryAccountService", "QuerySubAccount",
)  # fmt: skip
TYPES = {
    FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_FLOAT: "float", FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_BOOL: "bool", FieldDescriptor.TYPE_ENUM: "enum",
}  # fmt: skip


@pytest.mark.parametrize("line", OLD.strip().splitlines(), ids=lambda line: line.split()[0])
def test_old_fields_keep_number_name_and_type_and_new_ones_begin_at_101(line):
    name, *fields = line.split()
    message = wire.DESCRIPTOR.message_types_by_name[name]
    old = [field for field in message.fields if field.number <= 100]

    assert [f"{field.name}:{field.number}:{TYPES[field.type]}" for field in old] == fields
    assert [field.is_repeated for field in old] == [name == "QuerySubAccountResponse"] * len(old)


def test_the_public_calls_stand_first_and_the_kinds_keep_their_numbers():
    service = wire.DESCRIPTOR.services_by_name["CounterService"]

    assert service.full_name == "counter.CounterService"
    assert [method.name for method in service.methods] == [
        *OLD_CALLS, "EndServices", "CancelService", "Quote", "PayingAccounts",
    ]  # fmt: skip
    for message in (wire.CreateAccountRequest, wire.AccountResponse):
        assert dict(message.KindType.items()) == {"PS": 0, "CO": 1}


def test_display_fields_hold_the_nearest_float32():
    answer = wire.AccountResponse(balance=123456.78, credit=0.18)

    assert (answer.balance, answer.credit) == (123456.78125, 0.18000000715255737)
