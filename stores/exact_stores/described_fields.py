"""Descriptions and tags on the fields of an on-demand view, which Feast 0.67 refuses.

`feast apply` compares each declared field with one that it infers from a trial call, and refuses a field that has a
description or a tag. When the registry is read, both are dropped. A feature catalogue needs them, so `mend` replaces
the two methods of Feast.
"""

from feast import Field
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView as OnDemandFeatureViewProto


def _feature_exists_in_inferred(_: OnDemandFeatureView, field: Field, inferred: list[Field]) -> bool:
    """Compare what a trial call can tell: the name and the type."""
    return (field.name, field.dtype) in [(other.name, other.dtype) for other in inferred]


def _parse_features_from_proto(proto: OnDemandFeatureViewProto) -> list[Field]:
    return [Field.from_proto(field) for field in proto.spec.features]


def mend() -> None:
    """Replace the two methods of Feast's class, for the whole process. Calling it again changes nothing."""
    OnDemandFeatureView._feature_exists_in_inferred = _feature_exists_in_inferred  # type: ignore[assignment,method-assign]
    OnDemandFeatureView._parse_features_from_proto = staticmethod(_parse_features_from_proto)  # type: ignore[method-assign]
