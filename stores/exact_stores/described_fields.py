"""Feast 0.67 cannot describe the fields of an on-demand view: `feast apply` compares each with one inferred from a
trial call and refuses it for a description or a tag, and the registry drops both when it is read. A catalogue needs
them, so the two places are mended here, where every Feast command passes."""

from feast import Field
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView as OnDemandFeatureViewProto


def _feature_exists_in_inferred(_: OnDemandFeatureView, field: Field, inferred: list[Field]) -> bool:
    """What a trial call can tell: the name and the type."""
    return (field.name, field.dtype) in [(other.name, other.dtype) for other in inferred]


def _parse_features_from_proto(proto: OnDemandFeatureViewProto) -> list[Field]:
    return [Field.from_proto(field) for field in proto.spec.features]


def mend() -> None:
    OnDemandFeatureView._feature_exists_in_inferred = _feature_exists_in_inferred  # type: ignore
    OnDemandFeatureView._parse_features_from_proto = staticmethod(_parse_features_from_proto)  # type: ignore
