"""FOCUS's service category of AWS's product codes. The report names none; a code that isn't here is `Other`."""

from __future__ import annotations

from collections.abc import Mapping

_BY_CATEGORY = {
    "AI and Machine Learning": "AmazonBedrock AmazonSageMaker AmazonRekognition AmazonTextract AmazonPolly "
    "AmazonLex transcribe translate comprehend AmazonKendra AmazonPersonalize AmazonQ",
    "Analytics": "AmazonAthena AWSGlue ElasticMapReduce AmazonES AmazonKinesis AmazonKinesisFirehose "
    "AmazonKinesisAnalytics AmazonQuickSight AWSLakeFormation AmazonCloudSearch AmazonMSK",
    "Business Applications": "AmazonConnect AmazonWorkMail AmazonChime AmazonPinpoint AmazonSES",
    "Compute": "AmazonEC2 AWSLambda AmazonECS AmazonEKS AmazonECR AmazonLightsail AWSElasticBeanstalk AWSAppRunner "
    "AmazonWorkSpaces AmazonAppStream ComputeSavingsPlans AWSBatch AmazonBraket AWSOutposts",
    "Databases": "AmazonRDS AmazonDynamoDB AmazonElastiCache AmazonRedshift AmazonDocDB AmazonNeptune AmazonDAX "
    "AmazonMemoryDB AmazonTimestream AmazonMCS AmazonQLDB",
    "Developer Tools": "CodeBuild AWSCodePipeline AWSCodeCommit AWSCodeDeploy AWSCodeArtifact AWSXRay AWSCloud9",
    "Identity": "AmazonCognito AWSDirectoryService",
    "Integration": "AWSQueueService AmazonSNS AmazonMQ AWSEvents AmazonStates AmazonApiGateway AWSAppSync AmazonMWAA",
    "Internet of Things": "AWSIoT AWSIoTAnalytics AWSIoTDeviceManagement AWSGreengrass IoTDeviceDefender",
    "Management and Governance": "AmazonCloudWatch AWSCloudTrail AWSConfig AWSSystemsManager AWSCloudFormation "
    "AWSServiceCatalog AWSCostExplorer AWSBudgets AmazonGrafana AmazonPrometheus AWSSupportBasic AWSDeveloperSupport "
    "AWSSupportBusiness AWSSupportEnterprise AWSEnterpriseOnRamp OCBPremiumSupport AWSBackup",
    "Media": "AWSElementalMediaConvert AWSElementalMediaLive AWSElementalMediaPackage AmazonIVS AmazonGameLift",
    "Migration": "AWSDatabaseMigrationSvc AWSDataSync AWSTransfer AWSDataTransferTerminal",
    "Networking": "AmazonVPC AWSELB AmazonCloudFront AmazonRoute53 AWSDirectConnect AWSDataTransfer "
    "AWSGlobalAccelerator AWSNetworkFirewall AWSCloudMap AWSTransitGateway",
    "Security": "awswaf AWSShield AmazonGuardDuty AmazonInspector AmazonInspectorV2 AmazonMacie AWSSecurityHub "
    "awskms AWSSecretsManager AWSCertificateManager AmazonDetective AWSFMS CloudHSM",
    "Storage": "AmazonS3 AmazonEFS AmazonFSx AmazonGlacier AmazonS3GlacierDeepArchive AWSStorageGateway",
}
CATEGORIES: Mapping[str, str] = {code: category for category, codes in _BY_CATEGORY.items() for code in codes.split()}
