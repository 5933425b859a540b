"""The split by cloud-cost-allocation 2.3.4: cost items are Python objects, amounts are floats.

    python -m bench.split_theirs N

Prints JSON: CPU seconds to build the items from tuples, to allocate them, peak memory, and what each service pays.
"""

from __future__ import annotations

import json
import logging
import sys
from configparser import ConfigParser
from typing import Any

from cloud_cost_allocation.cloud_cost_allocator import CloudCostAllocator
from cloud_cost_allocation.config import Config
from cloud_cost_allocation.cost_items import CostItemFactory

from bench.split_case import MONTH, charges, cpu_seconds, keys, peak_mb

SETTINGS = """
[General]
Amounts = AmortizedCost
AllocationKeys = ProviderCostAllocationKey
AmountAllocationKeys = AmortizedCost:ProviderCostAllocationKey
DateFormat = %%Y-%%m-%%d
DefaultService = x
Dimensions = Environment
NumberOfProviderMeters = 0
NumberOfProductDimensions = 0
NumberOfProductMeters = 0
[TagKey]
Service = service
Instance = instance
Environment = environment
"""


def measure(n: int) -> dict[str, Any]:
    """Build and allocate, timed apart."""
    logging.getLogger().setLevel(logging.CRITICAL)
    settings = ConfigParser()
    settings.read_string(SETTINGS)
    factory, drawn, shares = CostItemFactory(Config(settings)), charges(n), keys()
    start = cpu_seconds()
    cloud = [_charge(factory, *charge) for charge in drawn]
    consumers = [_key(factory, shared, *part) for shared, parts in shares.items() for part in parts.items()]
    built = cpu_seconds()
    allocator = CloudCostAllocator(factory)
    allocator.date_str, allocator.currency = f"{MONTH}-01", "USD"
    if not allocator.allocate(consumers, cloud, ["AmortizedCost"]):
        raise RuntimeError("cloud-cost-allocation could not allocate")
    done = cpu_seconds()
    paid = {i.service: sum(item.amounts[0] for item in i.cost_items) for i in allocator.service_instances.values()}
    final = {service: repr(amount) for service, amount in sorted(paid.items()) if service not in shares}
    return {"build": built - start, "allocate": done - built, "peak_mb": peak_mb(), "paid": final}


def _charge(factory: Any, service: str, environment: str, cents: int) -> Any:
    item = factory.create_cloud_cost_item()
    item.date_str, item.currency = f"{MONTH}-01", "USD"
    item.service = item.instance = service
    item.tags, item.dimensions = {"service": service}, {"Environment": environment}
    item.amounts[0] = cents / 100
    return item


def _key(factory: Any, shared: str, service: str, part: int) -> Any:
    item = factory.create_consumer_cost_item()
    item.date_str, item.currency = f"{MONTH}-01", "USD"
    item.provider_service = item.provider_instance = shared
    item.service = item.instance = service
    item.provider_cost_allocation_type, item.provider_tag_selector = "Key", ""
    item.allocation_keys[0] = part
    return item


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
