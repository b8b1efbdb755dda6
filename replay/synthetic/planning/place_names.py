"""Names of the synthetic organisations, stations and projects: subdistricts of Luohu, everything else invented."""

from __future__ import annotations

SUBDISTRICTS = (
    "桂园",
    "黄贝",
    "东门",
    "翠竹",
    "南湖",
    "笋岗",
    "东湖",
    "莲塘",
    "东晓",
    "清水河",
    "水贝",
    "布心",
    "大望",
)
"""The last three are neighbourhoods [config]."""
CITY = ("火车站", "罗湖口岸", "东门步行街", "国贸", "大剧院", "黄贝岭", "翠竹", "水贝", "布心", "莲塘", "笋岗")
"""The places of the city stations; the first two are transport hubs."""
THEMES = {
    "health": "健康",
    "border-inspection": "边检",
    "legal": "法律援助",
    "mental-health": "心理关爱",
    "food-safety": "食品安全",
    "culture-and-sports": "文体",
    "water": "节水护水",
    "environment": "环保",
    "fire-safety": "消防",
    "elderly-care": "助老",
    "libraries": "图书馆",
}
PROJECTS = {
    "star-classroom": "星星学堂",
    "porcelain-dolls": "关爱瓷娃娃",
    "home-warmth": "家•温暖",
    "holiday-transport": "春运服务",
    "botanical-garden-order": "植物园文明劝导",
    "cross-border-pupils": "跨境学童护送",
    "school-mental-health": "校园心理健康",
    "medical-team": "医疗义工队",
    "blood-donation": "无偿献血",
    "beach-cleaning": "净滩行动",
    "reading-aloud": "悦读会",
    "home-repairs": "家电义修",
    "traffic-courtesy": "文明交通",
    "waste-sorting": "垃圾分类",
    "food-bank": "食物银行",
    "sign-language": "手语课堂",
    "legal-advice": "法律咨询",
    "computer-lessons": "长者电脑班",
    "hospital-guides": "医院导诊",
    "museum-guides": "博物馆讲解",
    "tree-planting": "植树活动",
    "winter-coats": "冬衣暖心",
    "evening-patrol": "平安夜巡",
    "river-watch": "河流守护",
}


def subdistrict(number: int) -> str:
    """Return the name of a subdistrict, numbered from 0; numbers wrap around."""
    return SUBDISTRICTS[number % len(SUBDISTRICTS)]


def community(number: int) -> str:
    """Return the name of a community, numbered from 0."""
    return f"{subdistrict(number)}第{number // len(SUBDISTRICTS) + 1}社区"


def group(number: int, *, school: bool) -> str:
    """Return the name of a group member, numbered from 0."""
    return f"{subdistrict(number)}第{number // len(SUBDISTRICTS) + 1}{'学校' if school else '义工队'}"
