-- service_name = 'Amazon S3'
(`service_name` = 'Amazon S3')

-- service_name <> 'it''s'
(`service_name` <> 'it\'s')

-- region_id < 'b' AND region_id <= 'b'
((`region_id` < 'b') AND (`region_id` <= 'b'))

-- effective_cost > 0.1 AND effective_cost >= -5
((`effective_cost` > BIGNUMERIC '0.1') AND (`effective_cost` >= BIGNUMERIC '-5'))

-- service_name IN ('a', 'b')
(`service_name` IN ('a', 'b'))

-- service_name NOT IN ('a', 'b')
(NOT (`service_name` IN ('a', 'b')))

-- effective_cost IN (1, 0.5)
(`effective_cost` IN (BIGNUMERIC '1', BIGNUMERIC '0.5'))

-- effective_cost BETWEEN 0 AND 10
(`effective_cost` BETWEEN BIGNUMERIC '0' AND BIGNUMERIC '10')

-- effective_cost NOT BETWEEN 0 AND 10
(NOT (`effective_cost` BETWEEN BIGNUMERIC '0' AND BIGNUMERIC '10'))

-- service_name LIKE 'a\_b%'
(`service_name` LIKE 'a\\\\_b%')

-- service_name NOT LIKE '%x'
(NOT (`service_name` LIKE '%x'))

-- tag.env IS NULL
(`tag.env` IS NULL)

-- tag.env IS NOT NULL
(NOT (`tag.env` IS NULL))

-- NOT (tag.env = 'a' OR tag.env = 'b') AND TRUE OR FALSE
(((NOT ((`tag.env` = 'a') OR (`tag.env` = 'b'))) AND TRUE) OR FALSE)

-- (tag.env = 'a') = (tag.app = 'b')
((`tag.env` = 'a') = (`tag.app` = 'b'))

-- list_cost - effective_cost > 100
((ROUND(CAST(`list_cost` AS BIGNUMERIC), 12) - ROUND(CAST(`effective_cost` AS BIGNUMERIC), 12)) > BIGNUMERIC '100')

-- list_cost + 1 > 2 * effective_cost
((ROUND(CAST(`list_cost` AS BIGNUMERIC), 12) + BIGNUMERIC '1') > (BIGNUMERIC '2' * ROUND(CAST(`effective_cost` AS BIGNUMERIC), 12)))

-- - effective_cost > 5
((- `effective_cost`) > BIGNUMERIC '5')

-- abs(effective_cost) > 5
(ABS(`effective_cost`) > BIGNUMERIC '5')

-- lower(tag.env) = 'a'
(LOWER(`tag.env`) = 'a')

-- upper(tag.env) = 'A'
(UPPER(`tag.env`) = 'A')

-- trim(tag.env) = 'a'
(TRIM(`tag.env`, ' ') = 'a')

-- length(tag.env) > 3
(LENGTH(`tag.env`) > BIGNUMERIC '3')

-- coalesce(tag.env, tag.app, 'none') = 'none'
(COALESCE(`tag.env`, `tag.app`, 'none') = 'none')

-- matches(resource_id, 'i-[0-9a-f]+\.x')
REGEXP_CONTAINS(`resource_id`, '\\A(?:i-[0-9a-f]+\\.x)\\z')

-- starts_with(resource_id, 'arn:')
STARTS_WITH(`resource_id`, 'arn:')

-- ends_with(resource_id, '/')
ENDS_WITH(`resource_id`, '/')

-- contains(resource_id, '%')
(STRPOS(`resource_id`, '%') > 0)

-- contains(resource_id, 'a\b')
(STRPOS(`resource_id`, 'a\\b') > 0)

-- in_register(tag.app, 'cost_centers')
-- join r1 = cost_centers by `tag.app`
(CASE WHEN `tag.app` IS NULL THEN NULL ELSE (r1.`valid_on` IS NOT NULL) END)

-- lookup(apps, tag.app, 'cost_center') = 'CC-1'
-- join r1 = apps by `tag.app`
(r1.`cost_center` = 'CC-1')

-- lookup(apps, tag.app, 'budget') * 2 > effective_cost
-- join r1 = apps by `tag.app`
((ROUND(CAST(r1.`budget` AS BIGNUMERIC), 12) * BIGNUMERIC '2') > ROUND(CAST(`effective_cost` AS BIGNUMERIC), 12))

-- account.environment = 'prod'
-- join r1 = accounts by `sub_account_id`
(r1.`environment` = 'prod')

-- charge_period_start >= '2026-01-31'
(`charge_period_start` >= DATETIME '2026-01-31 00:00:00')

-- charge_period_start < '2026-01-31 12:30:00'
(`charge_period_start` < DATETIME '2026-01-31 12:30:00')

-- account.valid_to >= DATE '2026-01-31'
-- join r1 = accounts by `sub_account_id`
(r1.`valid_to` >= DATE '2026-01-31')

-- account.valid_to < charge_period_start
-- join r1 = accounts by `sub_account_id`
(CAST(r1.`valid_to` AS DATETIME) < `charge_period_start`)

-- age_days(charge_period_start) > 30
(DATE_DIFF(DATE '2026-06-30', CAST(`charge_period_start` AS DATE), DAY) > BIGNUMERIC '30')

-- is_product(list_cost, list_unit_price, pricing_quantity)
(ABS(CAST(`list_cost` AS FLOAT64) - CAST(`list_unit_price` AS FLOAT64) * CAST(`pricing_quantity` AS FLOAT64)) <= ABS(CAST(`list_cost` AS FLOAT64)) * 0.001 + 0.00000001)

-- billable
((`charge_category` = 'Usage') AND (COALESCE(`commitment_discount_status`, '') <> 'Unused'))

-- taggable
(((`charge_category` = 'Usage') AND (COALESCE(`commitment_discount_status`, '') <> 'Unused')) AND (NOT (`resource_id` IS NULL)))

-- x_CostTeam = 'é'
(`x_cost_team` = 'é')
