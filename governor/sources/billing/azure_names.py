"""What Azure calls its regions and services, and what the field calls them.

A region that isn't here is written in lower case and without spaces, which is what Azure's own ids are. A provider that
isn't here has the service category `Other`.
"""

from __future__ import annotations

from collections.abc import Mapping

from governor.sources.billing.values import Reading

# Azure's older names of regions, by country and direction, without spaces -> the region's id.
REGIONS: Mapping[str, str] = {
    "aecentral": "uaecentral",
    "aenorth": "uaenorth",
    "apeast": "eastasia",
    "apsoutheast": "southeastasia",
    "aucentral": "australiacentral",
    "aueast": "australiaeast",
    "ausoutheast": "australiasoutheast",
    "brsouth": "brazilsouth",
    "cacentral": "canadacentral",
    "caeast": "canadaeast",
    "chnorth": "switzerlandnorth",
    "chwest": "switzerlandwest",
    "denorth": "germanynorth",
    "dewestcentral": "germanywestcentral",
    "eunorth": "northeurope",
    "euwest": "westeurope",
    "frcentral": "francecentral",
    "frsouth": "francesouth",
    "incentral": "centralindia",
    "insouth": "southindia",
    "inwest": "westindia",
    "itnorth": "italynorth",
    "jaeast": "japaneast",
    "jawest": "japanwest",
    "krcentral": "koreacentral",
    "krsouth": "koreasouth",
    "noeast": "norwayeast",
    "nowest": "norwaywest",
    "secentral": "swedencentral",
    "uscentral": "centralus",
    "useast": "eastus",
    "useast2": "eastus2",
    "usnorth": "northcentralus",
    "usnorthcentral": "northcentralus",
    "ussouthcentral": "southcentralus",
    "uswest": "westus",
    "uswest2": "westus2",
    "uswest3": "westus3",
    "uswestcentral": "westcentralus",
    "zanorth": "southafricanorth",
    "zawest": "southafricawest",
}

# FOCUS's ServiceCategory <- the resource providers (ConsumedService without `microsoft.`) that belong to it.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": ("botservice", "cognitiveservices", "machinelearning", "machinelearningservices"),
    "Analytics": (
        *("analysisservices", "databricks", "datalakeanalytics", "fabric", "hdinsight", "kusto", "powerbidedicated"),
        *("search", "streamanalytics", "synapse"),
    ),
    "Compute": (
        *("app", "avs", "batch", "classiccompute", "compute", "containerinstance", "containerregistry"),
        *("containerservice", "desktopvirtualization", "labservices"),
    ),
    "Databases": (
        *("cache", "dbformariadb", "dbformysql", "dbforpostgresql", "documentdb", "sql"),
        "sqlvirtualmachine",
    ),
    "Developer Tools": ("appcenter", "devcenter", "devopsinfrastructure", "loadtestservice", "visualstudio"),
    "Identity": ("aad", "aadiam", "azureactivedirectory"),
    "Integration": (
        *("apimanagement", "automation", "communication", "datafactory", "eventgrid", "eventhub", "logic"),
        *("notificationhubs", "relay", "servicebus"),
    ),
    "Internet of Things": ("devices", "digitaltwins", "iotcentral", "iothub"),
    "Management and Governance": (
        "capacity",
        "insights",
        "monitor",
        "operationalinsights",
        "purview",
        "recoveryservices",
    ),
    "Migration": ("databox", "datamigration", "importexport", "migrate"),
    "Multicloud": ("azurearcdata", "azurestackhci", "hybridcompute", "kubernetes"),
    "Networking": ("cdn", "classicnetwork", "network", "peering"),
    "Security": ("hardwaresecuritymodules", "keyvault", "security", "securityinsights"),
    "Storage": ("classicstorage", "dataprotection", "elasticsan", "netapp", "storage", "storagecache", "storagesync"),
    "Web": (
        "appconfiguration",
        "appplatform",
        "certificateregistration",
        "domainregistration",
        "signalrservice",
        "web",
    ),
}

NOWHERE = ("unassigned", "global", "intercontinental")  # names of no region

_CATEGORY = {f"microsoft.{name}": ours for ours, names in CATEGORIES.items() for name in names}


def read_region(text: str) -> Reading:
    """Read a region's id out of whatever Azure calls it; the empty text where that is no region.

    >>> read_region("US West 2").value, read_region("EastUS").value, read_region("Unassigned").value
    ('westus2', 'eastus', '')
    """
    name = text.lower().replace(" ", "")
    return Reading("" if name in NOWHERE else REGIONS.get(name, name))


def read_category(provider: str) -> Reading:
    """Read a service category out of a resource provider.

    >>> read_category("MICROSOFT.SQL").value, read_category("Contoso.Search").value
    ('Databases', 'Other')
    """
    return Reading(_CATEGORY.get(provider.lower(), "Other"))
